//! The patch of a REST request, and a request: its query, a header, its body and the cursor of a page. What names a page is
//! read back as the same.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    syncline_server::rest::fuzz_patch(input);
    syncline_server::rest::fuzz_request(input);
});
