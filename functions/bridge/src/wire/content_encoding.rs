//! Bodies with a `content-encoding`.

use std::io::Read;

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

/// A body is encoded this often at most.
const MAX_ENCODINGS: usize = 3;

/// The body without its encodings, up to one byte more than `at_most`, so that a small body cannot grow
/// into more memory than a function has. `None` when it cannot be read: an encoding that is not known,
/// or a body that has not the one which it announces.
pub fn decoded(encodings: &str, body: &[u8], at_most: usize) -> Option<Vec<u8>> {
    let encodings: Vec<&str> = encodings
        .split(',')
        .map(str::trim)
        .filter(|encoding| !matches!(*encoding, "" | "identity"))
        .collect();
    if encodings.len() > MAX_ENCODINGS {
        return None;
    }
    // The last one was applied last.
    let mut encodings = encodings.iter().rev();
    encodings.try_fold(body.to_vec(), |body, encoding| match *encoding {
        "gzip" | "x-gzip" => read(MultiGzDecoder::new(body.as_slice()), at_most),
        // Some servers mean the bare format, some the one with a header.
        "deflate" => read(ZlibDecoder::new(body.as_slice()), at_most)
            .or_else(|| read(DeflateDecoder::new(body.as_slice()), at_most)),
        _ => None,
    })
}

fn read(reader: impl Read, at_most: usize) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    let limit = u64::try_from(at_most).ok()?.saturating_add(1);
    reader.take(limit).read_to_end(&mut body).ok()?;
    Some(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::read::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use proptest::prelude::*;

    const FORM: &[u8] = b"id=a&text=b";

    fn all(mut reader: impl Read) -> Vec<u8> {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        bytes
    }

    fn gzip(body: &[u8]) -> Vec<u8> {
        all(GzEncoder::new(body, Compression::best()))
    }

    #[test]
    fn an_encoded_body_is_read() {
        let zlib = all(ZlibEncoder::new(FORM, Compression::fast()));
        let bare = all(DeflateEncoder::new(FORM, Compression::fast()));
        for (encodings, body) in [
            ("", FORM.to_vec()),
            ("identity", FORM.to_vec()),
            ("gzip", gzip(FORM)),
            ("x-gzip, identity", gzip(FORM)),
            ("deflate", zlib.clone()),
            ("deflate", bare),
            ("deflate,gzip", gzip(&zlib)),
        ] {
            let read = decoded(encodings, &body, 100);
            assert_eq!(read.as_deref(), Some(FORM), "{encodings}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_none() {
        let cut = gzip(FORM);
        let cut = cut.get(..cut.len() - 9).unwrap();
        for (encodings, body) in [
            ("gzip", FORM),
            ("gzip", cut),
            ("deflate", FORM),
            ("br", FORM),
            ("gzip,gzip,gzip,gzip", FORM),
            ("?", FORM),
        ] {
            assert_eq!(decoded(encodings, body, 100), None, "{encodings}");
        }
    }

    #[test]
    fn a_bomb_is_read_up_to_the_limit_and_one_byte() {
        let bomb = gzip(&gzip(&vec![0; 16 * 1024 * 1024]));
        assert!(bomb.len() < 10_000, "{}", bomb.len());
        let read = decoded("gzip, gzip", &bomb, 100_000);
        assert_eq!(read.map(|body| body.len()), Some(100_001));
        let once = gzip(&vec![0; 1024 * 1024]);
        let read = decoded("gzip", &once, 1_000);
        assert_eq!(read.map(|body| body.len()), Some(1_001));
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decoded("gzip", &body, 100);
            let _ = decoded("deflate", &body, 100);
        }
    }
}
