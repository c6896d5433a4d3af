//! `cargo bundle`: makes what somebody without a compiler installs. A folder with the functions' packages, the
//! template that names them, the operator's program, its documents and checksums, and an archive of that folder.
//!
//! The same programs make the same bundle, byte by byte: times are fixed, and files are sorted.
mod archive;
mod documents;
mod licences;
mod processor;
mod programs;
mod release;
mod template;

pub use processor::Processor;
pub use release::keep as keep_for_upgrades;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, ensure};
use clap::Parser;

/// The version of everything in this workspace.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The functions, by the names of their programs.
const FUNCTIONS: [&str; 5] = [
    "incoming-messages",
    "delivery-reports",
    "report-recorder",
    "outbound-sender",
    "medic-exchange",
];

/// The operator's program, as the workspace names it.
const OPERATOR: &str = "ops";

/// The operator's program, as the bundle names it.
const OPERATOR_IN_BUNDLE: &str = "cht-africastalking";

/// Makes the release bundle: the folder cht-africastalking-VERSION, and an archive of it
#[derive(Debug, Parser)]
#[command(
    name = "cargo bundle",
    bin_name = "cargo bundle",
    after_help = "\
It compiles with cargo-lambda (`pipx install cargo-lambda`), unless --programs names a folder.

Example:
  cargo bundle
  cargo bundle --arch x86_64,arm64        needs `rustup target add aarch64-unknown-linux-gnu`"
)]
pub struct BundleArguments {
    /// The processors to build for. The first one is that of template.yaml and of the operator's program
    #[arg(long, value_enum, value_delimiter = ',', default_value = "x86_64")]
    pub arch: Vec<Processor>,
    /// Takes programs that are built already: ARCH/NAME/bootstrap in this folder, for the five functions and for ops
    #[arg(long, value_name = "FOLDER")]
    pub programs: Option<PathBuf>,
    /// The folder for the bundle and its archive
    #[arg(long, value_name = "FOLDER", default_value_os_t = repository().join("target/bundle"))]
    pub into: PathBuf,
    /// Writes what the test of upgrades keeps of this version, and no bundle
    #[arg(long)]
    pub keep_for_upgrades: bool,
}

/// The project's root folder.
fn repository() -> &'static Path {
    // It runs where it was compiled.
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = package.parent().and_then(Path::parent);
    root.unwrap_or(package)
}

/// Makes the bundle, and says what it does and how long that takes, in seconds since it began.
///
/// # Errors
/// When something does not compile, a program is missing or for another processor, or a file cannot be written.
pub fn make(arguments: &BundleArguments, say: impl Fn(&str)) -> anyhow::Result<()> {
    let begin = Instant::now();
    let say = |what: &str| say(&format!("[{:4} s] {what}", begin.elapsed().as_secs()));
    let name = format!("{OPERATOR_IN_BUNDLE}-{VERSION}");
    let folder = arguments.into.join(&name);
    if folder.exists() {
        fs::remove_dir_all(&folder)
            .with_context(|| format!("cannot replace {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let mut built_for: Vec<Processor> = Vec::new();
    for processor in arguments.arch.iter().copied() {
        ensure!(
            !built_for.contains(&processor),
            "--arch names {processor} twice"
        );
        let is_first = built_for.is_empty();
        let programs = match &arguments.programs {
            Some(programs) => programs.join(processor.name()),
            None => {
                say(&format!("Compiling for {processor}"));
                programs::build(processor)?
            }
        };
        say(&format!("Packing the programs for {processor}"));
        programs::pack(&programs, processor, is_first, &folder)?;
        template::write(processor, is_first, &folder)?;
        built_for.push(processor);
    }
    say("Collecting the licences of what is in the programs");
    let licences = licences::of_programs(&built_for)?;
    fs::write(folder.join("LICENCES"), licences)?;
    documents::write(&folder)?;
    archive::write_checksums(&folder)?;
    let archive = archive::write(&arguments.into, &name)?;
    say(&format!(
        "Done: {} and {}",
        folder.display(),
        archive.display()
    ));
    Ok(())
}
