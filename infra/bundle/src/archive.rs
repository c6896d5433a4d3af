//! Checksums of the bundle, and the archive of it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use flate2::Compression;
use flate2::write::GzEncoder;
use ring::digest::{SHA256, digest};
use tar::{Builder, Header};

use crate::OPERATOR_IN_BUNDLE;

/// The file with the checksums, in the form that `sha256sum --check` reads.
const CHECKSUMS: &str = "SHA256SUMS";

/// Each file's time in the archive, in seconds since 1970: 1 January 1980, as in the packages.
const FIXED_TIME: u64 = 315_532_800;

/// Writes the checksum of each file of the bundle.
///
/// # Errors
/// When a file cannot be read.
pub fn write_checksums(bundle: &Path) -> anyhow::Result<()> {
    let mut checksums = String::new();
    for (name, file) in files(bundle)? {
        checksums.push_str(&checksum_line(&name, &file)?);
    }
    fs::write(bundle.join(CHECKSUMS), checksums)?;
    Ok(())
}

/// Writes the archive of the bundle `name` and the archive's checksum beside it, and returns the archive's path.
///
/// # Errors
/// When a file cannot be read or written.
pub fn write(folder: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let archive_name = format!("{name}.tar.gz");
    let archive = folder.join(&archive_name);
    let file = BufWriter::new(File::create(&archive)?);
    let mut tar = Builder::new(GzEncoder::new(file, Compression::best()));
    for (path, file) in files(&folder.join(name))? {
        let content = fs::read(&file)?;
        let mut header = Header::new_gnu();
        header.set_size(u64::try_from(content.len())?);
        header.set_mtime(FIXED_TIME);
        let is_program = path.starts_with(OPERATOR_IN_BUNDLE);
        header.set_mode(if is_program { 0o755 } else { 0o644 });
        let path = format!("{name}/{path}");
        tar.append_data(&mut header, path, content.as_slice())?;
    }
    tar.into_inner()?.finish()?.flush()?;
    let checksum = checksum_line(&archive_name, &archive)?;
    fs::write(folder.join(format!("{archive_name}.sha256")), checksum)?;
    Ok(archive)
}

/// All files of a folder, by their path in it, sorted.
fn files(folder: &Path) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![(String::new(), folder.to_owned())];
    while let Some((prefix, folder)) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_str().context("a file's name is no text")?;
            let path = format!("{prefix}{name}");
            if entry.file_type()?.is_dir() {
                folders.push((format!("{path}/"), entry.path()));
            } else {
                found.insert(path, entry.path());
            }
        }
    }
    Ok(found)
}

fn checksum_line(name: &str, file: &Path) -> anyhow::Result<String> {
    let content = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let digest = digest(&SHA256, &content);
    let hex: String = digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok(format!("{hex}  {name}\n"))
}
