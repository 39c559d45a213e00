//! Records set aside on disk, by client, between the first pass and the second: memory then grows with a bucket,
//! not with the input. The folder is ours alone, and goes when the run ends.

use super::record::Record;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// A client is always in the same bucket. Each costs an open file and a small buffer.
pub const BUCKETS: usize = 128;
const BUFFER_BYTES: usize = 16 * 1024;

/// A folder that is removed when it is dropped.
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    pub fn create() -> io::Result<Folder> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        loop {
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("tautline-backtest-{}-{count}", std::process::id()));
            match private(&path) {
                Ok(()) => return Ok(Folder { path }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    pub fn file(&self, name: &str) -> io::Result<File> {
        File::options().read(true).write(true).create_new(true).open(self.path.join(name))
    }
}

#[cfg(unix)]
fn private(path: &PathBuf) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().mode(0o700).create(path)
}

#[cfg(not(unix))]
fn private(path: &PathBuf) -> io::Result<()> {
    fs::create_dir(path)
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Nothing can be done about a failure here; the folder is readable by us alone.
        let _ = fs::remove_dir_all(&self.path);
    }
}

pub struct Buckets {
    files: Vec<Mutex<BufWriter<File>>>,
}

impl Buckets {
    pub fn create(folder: &Folder) -> io::Result<Buckets> {
        let open = |n| Ok(Mutex::new(BufWriter::with_capacity(BUFFER_BYTES, folder.file(&format!("in-{n}"))?)));
        Ok(Buckets { files: (0..BUCKETS).map(open).collect::<io::Result<_>>()? })
    }

    pub fn put(&self, record: &Record) -> io::Result<()> {
        let bytes = postcard::to_stdvec(record).map_err(io::Error::other)?;
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        let mut file = self.files[bucket_of(&record.client)].lock().map_err(|_| io::Error::other("a writer failed"))?;
        file.write_all(&length.to_le_bytes())?;
        file.write_all(&bytes)
    }

    /// Everything in one bucket, by client.
    pub fn take(&self, bucket: usize) -> io::Result<BTreeMap<String, Vec<Record>>> {
        let mut bytes = Vec::new();
        {
            let mut file = self.files[bucket].lock().map_err(|_| io::Error::other("a writer failed"))?;
            file.flush()?;
            let file = file.get_mut();
            file.seek(SeekFrom::Start(0))?;
            file.read_to_end(&mut bytes)?;
        }
        let mut clients: BTreeMap<String, Vec<Record>> = BTreeMap::new();
        let mut rest = bytes.as_slice();
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let (one, after) = after.split_at(u32::from_le_bytes(*length) as usize);
            let record: Record = postcard::from_bytes(one).map_err(io::Error::other)?;
            clients.entry(record.client.clone()).or_default().push(record);
            rest = after;
        }
        Ok(clients)
    }
}

/// FNV-1a: the same bucket on every machine.
fn bucket_of(client: &str) -> usize {
    let hash = client
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    (hash % BUCKETS as u64) as usize
}

/// Text per client, written bucket by bucket and read back in the order of the clients.
pub struct Texts {
    files: Vec<Mutex<File>>,
    index: Mutex<Vec<(String, usize, u64, u64)>>,
}

impl Texts {
    pub fn create(folder: &Folder) -> io::Result<Texts> {
        let open = |n| folder.file(&format!("out-{n}")).map(Mutex::new);
        let files = (0..BUCKETS).map(open).collect::<io::Result<_>>()?;
        Ok(Texts { files, index: Mutex::default() })
    }

    pub fn put(&self, bucket: usize, texts: Vec<(String, String)>) -> io::Result<()> {
        let mut file = self.files[bucket].lock().map_err(|_| io::Error::other("a writer failed"))?;
        let mut index = self.index.lock().map_err(|_| io::Error::other("a writer failed"))?;
        let mut at = 0;
        let mut all = String::new();
        for (client, text) in texts {
            let length = text.len() as u64;
            index.push((client, bucket, at, length));
            at += length;
            all.push_str(&text);
        }
        file.write_all(all.as_bytes())
    }

    /// Copies every client's text out, by client id, bytewise.
    pub fn copy(self, out: &mut dyn Write) -> io::Result<()> {
        let mut index = self.index.into_inner().map_err(|_| io::Error::other("a writer failed"))?;
        index.sort();
        let mut buffer = Vec::new();
        for (_, bucket, at, length) in index {
            let mut file = self.files[bucket].lock().map_err(|_| io::Error::other("a reader failed"))?;
            file.seek(SeekFrom::Start(at))?;
            buffer.clear();
            Read::take(&mut *file, length).read_to_end(&mut buffer)?;
            out.write_all(&buffer)?;
        }
        Ok(())
    }
}
