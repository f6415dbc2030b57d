# examples/monorepo as one Dockerfile: what others build where `dagger up` runs the ten actions of the plan.
FROM scratch AS base
ADD base/rootfs.tar /
ENV PATH=/bin:/usr/bin

FROM base AS lib
WORKDIR /src/lib
RUN --mount=target=/in,source=lib cp -r /in/. . && tr a-z A-Z <words.txt >words.out

FROM lib AS lib-test
RUN --network=none grep -q HELLO words.out

FROM base AS api
ARG RELEASE=dev
WORKDIR /src/api
RUN --mount=target=/in,source=api --mount=target=/lib,from=lib,source=/src/lib \
    --mount=type=cache,id=monorepo-api,target=/cache \
    cat /in/main.txt /lib/words.out >api && echo "release $RELEASE" >>api

FROM base AS web
WORKDIR /src/web
RUN --mount=target=/in,source=web --mount=type=tmpfs,target=/tmp sed 's/NAME/web/' /in/index.html >index.html

FROM base AS worker
COPY worker /src/worker/

FROM worker AS worker-check
RUN ["test", "-s", "/src/worker/job.txt"]

FROM scratch AS settings
ARG RELEASE=dev
COPY <<EOF /etc/app.conf
release = $RELEASE
EOF

FROM scratch AS release
COPY --from=api /src/api/api /app/api
COPY --from=web /src/web/index.html /app/www/
COPY --from=worker /src/worker /app/worker
COPY --from=settings /etc/app.conf /app/app.conf
# What the plan says as `needs`.
COPY --from=lib-test /src/lib/words.txt /tested/lib
COPY --from=worker-check /src/worker/job.txt /tested/worker
