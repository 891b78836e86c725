//! Files compressed before anybody asks for them, when it may take its time: a megabyte takes Brotli seconds.

use crate::error::Error;
use brotli::enc::{BrotliCompress, BrotliEncoderParams};
use causeway_site::{Encoding, File};
use flate2::{Compression, write::GzEncoder};
use sha2::{Digest, Sha256};
use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};
use tempfile::{NamedTempFile, TempPath};
use tokio::sync::Semaphore;

/// Files up to this size are kept in memory when they are compressed; larger ones are written to a temporary file.
const SMALL: u64 = 1024 * 1024;

/// Turns that there are. With one for each [`TURN`] of a file all that is compressed at a time takes some 40 MB: Brotli takes 5 MB
/// for one turn, and no more than 35 MB however large a file is.
const TURNS: u32 = 8;

/// Bytes of a file that take a turn.
const TURN: u64 = 64 * 1024;

/// Bytes that are read at once.
const PIECE: usize = 64 * 1024;

/// Compresses a few files at a time, off the threads that wait for answers.
pub(crate) struct Compressor {
    turns: Arc<Semaphore>,
}

/// What came of it.
pub(crate) enum Compressed {
    /// A small file.
    Memory(Vec<u8>),
    /// A large one, for as long as this is held: its path, its bytes, and its digest in hexadecimal.
    Disk(TempPath, u64, String),
}

impl Compressor {
    pub(crate) fn new() -> Compressor {
        Compressor { turns: Arc::new(Semaphore::new(TURNS as usize)) }
    }

    /// Compresses the file at `local`, of which `file` says what it holds.
    ///
    /// # Errors
    /// [`Error::Moved`] if it holds something else, [`Error::Compress`] if it cannot be read, or what came of it not be kept.
    pub(crate) async fn file(
        &self,
        local: PathBuf,
        file: &File,
        encoding: Encoding,
    ) -> Result<Compressed, Error> {
        let (size, sha256) = (file.size, file.sha256.clone());
        self.when_it_is_its_turn(size, move || {
            let (compressed, digest) = compressed(&local, size, encoding)
                .map_err(|source| Error::Compress { path: local.display().to_string(), source })?;
            if digest == sha256 { Ok(compressed) } else { Err(Error::Moved(local.display().to_string())) }
        })
        .await
    }

    /// Compresses `what`, which is in memory.
    ///
    /// # Errors
    /// None that can come: nothing is read or written.
    pub(crate) async fn bytes(
        &self,
        what: &'static str,
        bytes: Arc<[u8]>,
        encoding: Encoding,
    ) -> Result<Vec<u8>, Error> {
        let size = bytes.len() as u64;
        self.when_it_is_its_turn(size, move || {
            let mut to = vec![];
            let encoded = encode(&mut &bytes[..], &mut to, encoding, size);
            encoded.map_err(|source| Error::Compress { path: what.to_owned(), source })?;
            Ok(to)
        })
        .await
    }

    async fn when_it_is_its_turn<T: Send + 'static>(
        &self,
        size: u64,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let turns = u32::try_from(size / TURN).unwrap_or(TURNS).clamp(1, TURNS);
        // An error means that there are no turns any more, and nobody takes them away.
        let permit = self.turns.clone().acquire_many_owned(turns).await.ok();
        let work = move || {
            let done = work();
            drop(permit);
            done
        };
        tokio::task::spawn_blocking(work).await.map_err(Error::Thread)?
    }
}

/// What came of the file at `local`, and the digest of what it holds.
fn compressed(local: &Path, size: u64, encoding: Encoding) -> io::Result<(Compressed, String)> {
    let mut from = Hashed::new(fs::File::open(local)?);
    if size <= SMALL {
        let mut to = vec![];
        encode(&mut from, &mut to, encoding, size)?;
        return Ok((Compressed::Memory(to), from.digest()));
    }
    let mut to = Hashed::new(NamedTempFile::with_prefix("docs-publish-")?);
    encode(&mut from, &mut to, encoding, size)?;
    let (path, bytes) = (to.inner.into_temp_path(), to.bytes);
    Ok((Compressed::Disk(path, bytes, hex::encode(to.hash.finalize())), from.digest()))
}

fn encode(from: &mut impl Read, to: &mut impl Write, encoding: Encoding, size: u64) -> io::Result<()> {
    match encoding {
        Encoding::Br => {
            let size_hint = usize::try_from(size).unwrap_or(usize::MAX);
            let best = BrotliEncoderParams { quality: 11, lgwin: 22, size_hint, ..Default::default() };
            BrotliCompress(from, to, &best).map(drop)
        }
        Encoding::Gzip => {
            let mut encoder = GzEncoder::new(to, Compression::best());
            let mut piece = vec![0; PIECE];
            loop {
                match from.read(&mut piece)? {
                    0 => return encoder.finish().map(drop),
                    n => encoder.write_all(&piece[..n])?,
                }
            }
        }
    }
}

/// What is read or written, counted and digested on its way.
struct Hashed<T> {
    inner: T,
    hash: Sha256,
    bytes: u64,
}

impl<T> Hashed<T> {
    fn new(inner: T) -> Self {
        Hashed { inner, hash: Sha256::new(), bytes: 0 }
    }

    fn digest(self) -> String {
        hex::encode(self.hash.finalize())
    }

    fn see(&mut self, passed: &[u8]) {
        self.hash.update(passed);
        self.bytes += passed.len() as u64;
    }
}

impl<T: Read> Read for Hashed<T> {
    fn read(&mut self, piece: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(piece)?;
        self.see(&piece[..n]);
        Ok(n)
    }
}

impl<T: Write> Write for Hashed<T> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(piece)?;
        self.see(&piece[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(compressed: &[u8], encoding: Encoding) -> Vec<u8> {
        let mut plain = vec![];
        match encoding {
            Encoding::Br => brotli::Decompressor::new(compressed, PIECE).read_to_end(&mut plain),
            Encoding::Gzip => flate2::read::GzDecoder::new(compressed).read_to_end(&mut plain),
        }
        .unwrap();
        plain
    }

    fn file(content: &[u8]) -> File {
        File {
            sha256: hex::encode(Sha256::digest(content)),
            size: content.len() as u64,
            content_type: String::new(),
            cache_control: String::new(),
            headers: Default::default(),
            immutable: false,
        }
    }

    #[tokio::test]
    async fn what_is_compressed_is_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.js");
        // Larger than what is kept in memory; and what does not get smaller.
        let large = "line\n".repeat(SMALL as usize / 5 + 1).into_bytes();
        for content in [&b""[..], b"x", b"some text, some text, some text", &large] {
            fs::write(&path, content).unwrap();
            for encoding in [Encoding::Br, Encoding::Gzip] {
                let done = Compressor::new().file(path.clone(), &file(content), encoding).await.unwrap();
                let bytes = match done {
                    Compressed::Memory(bytes) => {
                        assert!(content.len() as u64 <= SMALL);
                        bytes
                    }
                    Compressed::Disk(path, size, sha256) => {
                        assert!(content.len() as u64 > SMALL);
                        let bytes = fs::read(&path).unwrap();
                        assert_eq!((size, sha256), (bytes.len() as u64, hex::encode(Sha256::digest(&bytes))));
                        bytes
                    }
                };
                assert_eq!(plain(&bytes, encoding), content, "{encoding}");
                let again = Compressor::new().bytes("it", content.into(), encoding).await.unwrap();
                assert_eq!(plain(&again, encoding), content, "{encoding}");
            }
        }
    }

    #[tokio::test]
    async fn a_file_that_changed_is_not_compressed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.js");
        let compressor = Compressor::new();
        let gone = compressor.file(path.clone(), &file(b"one"), Encoding::Br).await;
        assert!(matches!(gone, Err(Error::Compress { .. })));
        fs::write(&path, "two").unwrap();
        let moved = compressor.file(path, &file(b"one"), Encoding::Br).await;
        assert!(matches!(moved, Err(Error::Moved(_))));
        assert_eq!(compressor.turns.available_permits(), TURNS as usize);
    }
}
