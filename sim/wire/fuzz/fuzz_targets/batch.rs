#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| trial_wire_fuzz::batch(data));
