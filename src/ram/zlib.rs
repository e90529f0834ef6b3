//! COMPRESS_PAGE: a page as a zlib stream (`ram_save_compressed_page` in `migration/ram-compress.c`, up to QEMU 8.2).

/// Unpacks a page: a whole zlib stream that gives exactly a page.
///
/// # Errors
/// What is wrong with the stream, in words.
pub fn inflate(zlib: &mut flate2::Decompress, data: &[u8], page: usize) -> Result<Vec<u8>, String> {
    zlib.reset(true);
    let mut out = vec![0; page];
    match zlib.decompress(data, &mut out, flate2::FlushDecompress::Finish) {
        Ok(flate2::Status::StreamEnd) if zlib.total_out() == page as u64 => Ok(out),
        Ok(_) => Err(format!("zlib: expected a page of {page} bytes, found {} or more", zlib.total_out())),
        Err(e) => Err(format!("zlib: {e}")),
    }
}
