#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dagger_fuzz::otlp_protobuf(data));
