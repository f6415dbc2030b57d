// The same spans as ../ours.rs makes, through the Go SDK and its Jaeger exporter.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/jaeger"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

func main() {
	spans, err := strconv.Atoi(os.Getenv("BENCH_SPANS"))
	check(err)
	// The exporter reads its endpoint and the processor its sizes from the environment.
	exporter, err := jaeger.New(jaeger.WithCollectorEndpoint())
	check(err)
	service := resource.NewSchemaless(attribute.String("service.name", "bench"))
	provider := sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(service))
	tracer := provider.Tracer("bench")

	began := time.Now()
	ctx, root := tracer.Start(context.Background(), "root")
	for number := 1; number < spans; number++ {
		_, span := tracer.Start(ctx, "[build 3/7] RUN make all",
			trace.WithSpanKind(trace.SpanKindClient),
			trace.WithAttributes(
				attribute.String("vertex", "sha256:6f0f1a4d1d0b1f5ac6ad0f2a9a0f5f4c1b8c8f0b8d6e0f4c3a2b1c0d9e8f7a6b"),
				attribute.String("rpc.system", "grpc"),
				attribute.String("rpc.service", "moby.buildkit.v1.Control"),
				attribute.String("rpc.method", "Solve"),
				attribute.Int("number", number),
				attribute.Int("bytes", 1048576),
				attribute.Bool("cached", false)))
		span.AddEvent("output", trace.WithAttributes(attribute.String("message", "cc -O2 -c main.c -o main.o")))
		span.End()
	}
	root.End()
	made := time.Since(began)
	check(provider.Shutdown(context.Background()))
	wall := time.Since(began)
	fmt.Printf("{\"trace\":%q,\"made_s\":%f,\"wall_s\":%f}\n", root.SpanContext().TraceID(), made.Seconds(), wall.Seconds())
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
