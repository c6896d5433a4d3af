//! Installs and finds the programs that the sandbox, its tests and its linters need.
//!
//! The emulator of AWS, SAM and the linters are written in Python. They are installed into virtual
//! environments under `.tools/`, and a file beside this crate's `Cargo.toml` pins every package. Only
//! `python3` has to be there. The tests of the page use the system's Chromium.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, anyhow, bail, ensure};

/// The oldest version that the pinned packages run on.
const OLDEST_PYTHON: (u32, u32) = (3, 11);

/// Debian's packages of Chromium, its driver and a font.
const CHROMIUM_PACKAGES: [&str; 3] = ["chromium", "chromium-driver", "fonts-dejavu-core"];

/// The project's root folder.
#[must_use]
pub fn repository() -> &'static Path {
    // Tests and `cargo sandbox` run where they were compiled.
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder
        .parent()
        .and_then(Path::parent)
        .unwrap_or(crate_folder)
}

/// One virtual environment with pinned packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// The emulator of AWS, and SAM's transform.
    Emulator,
    /// SAM, which deploys the stack, and `cfn-lint`, which is installed with it.
    Sam,
    /// The linter for insecure settings.
    Checkov,
    /// The linters for GitHub's workflows.
    Workflows,
}

impl Tool {
    /// The tools for tests and the sandbox.
    const TO_RUN: [Self; 2] = [Self::Emulator, Self::Sam];
    /// The further tools for `cargo sandbox lint`.
    const TO_LINT: [Self; 2] = [Self::Checkov, Self::Workflows];

    fn name(self) -> &'static str {
        match self {
            Self::Emulator => "emulator",
            Self::Sam => "sam",
            Self::Checkov => "checkov",
            Self::Workflows => "workflows",
        }
    }

    fn requirements_file(self) -> PathBuf {
        let file = format!("tests/sandbox/requirements-{}.txt", self.name());
        repository().join(file)
    }

    fn folder(self) -> PathBuf {
        tools_folder().join(self.name())
    }

    fn stamp_file(self) -> PathBuf {
        self.folder().join("installed")
    }

    /// The Python with this tool's packages. Run modules with it (`-m`), not their scripts: the first line of
    /// a script is an absolute path, which can be longer than Linux reads.
    #[must_use]
    pub fn python(self) -> PathBuf {
        self.folder().join("bin/python")
    }

    /// A program that one of this tool's packages brings ready to run, and which is no script.
    #[must_use]
    pub fn program(self, name: &str) -> PathBuf {
        self.folder().join("bin").join(name)
    }

    /// The content of the stamp of a correct installation. It changes with the packages, the system's Python
    /// and the folder.
    fn stamp(self, python: &Python) -> anyhow::Result<String> {
        let file = self.requirements_file();
        let requirements =
            fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let folder = self.folder();
        Ok(format!(
            "{}\n{}\n{requirements}",
            python.identity,
            folder.display()
        ))
    }

    fn is_installed(self, stamp: &str) -> bool {
        // The stamp is written last, so an interrupted installation has none.
        fs::read_to_string(self.stamp_file()).is_ok_and(|found| found == stamp)
    }

    fn install(self, stamp: &str) -> anyhow::Result<()> {
        let folder = self.folder();
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot replace {}", folder.display()));
            }
            _ => {}
        }
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        run(Command::new(self.python())
            .args(["-m", "pip", "install", "--quiet", "--no-input"])
            .args(["--disable-pip-version-check", "--requirement"])
            .arg(self.requirements_file()))?;
        fs::write(self.stamp_file(), stamp).context("cannot write the stamp of the tools")
    }
}

fn tools_folder() -> PathBuf {
    repository().join(".tools")
}

/// Installs the tools that are missing or out of date, and returns whether there were any.
///
/// Several processes may call this at once: one installs, and the others wait for it. It blocks, the first
/// time for about a minute.
///
/// # Errors
/// When Python is missing, too old or without `venv`, or when a package cannot be downloaded.
pub fn install() -> anyhow::Result<bool> {
    install_these(&Tool::TO_RUN)
}

/// As [`install`], for the linters.
///
/// # Errors
/// As [`install`].
pub fn install_linters() -> anyhow::Result<bool> {
    install_these(&Tool::TO_LINT)
}

fn install_these(tools: &[Tool]) -> anyhow::Result<bool> {
    let python = Python::find()?;
    fs::create_dir_all(tools_folder())?;
    let lock = File::create(tools_folder().join("lock")).context("cannot lock .tools")?;
    // The lock is released when the file is closed, also when the process is killed.
    lock.lock().context("cannot lock .tools")?;
    let mut missing = Vec::new();
    for tool in tools.iter().copied() {
        let stamp = tool.stamp(&python)?;
        if !tool.is_installed(&stamp) {
            missing.push((tool, stamp));
        }
    }
    if missing.is_empty() {
        return Ok(false);
    }
    python.has_venv()?;
    std::thread::scope(|scope| {
        let installations: Vec<_> = missing
            .iter()
            .map(|(tool, stamp)| scope.spawn(|| tool.install(stamp)))
            .collect();
        for ((tool, _), installation) in missing.iter().zip(installations) {
            installation
                .join()
                .map_err(|_| anyhow!("the installation ended with a panic"))
                .flatten()
                .with_context(|| format!("cannot install the tool “{}”", tool.name()))?;
        }
        Ok(true)
    })
}

/// Whether all tools of [`install`] are installed.
#[must_use]
pub fn are_installed() -> bool {
    let Ok(python) = Python::find() else {
        return false;
    };
    Tool::TO_RUN.iter().all(|tool| {
        tool.stamp(&python)
            .is_ok_and(|stamp| tool.is_installed(&stamp))
    })
}

/// A browser and its driver.
#[derive(Clone, Debug)]
pub struct Chromium {
    /// The program.
    pub browser: PathBuf,
    /// Its WebDriver.
    pub driver: PathBuf,
}

/// Finds Chromium: the one that the variables `CHROMIUM` and `CHROMEDRIVER` name, or else the installed one.
/// On Debian, root installs it if it is missing. It blocks.
///
/// # Errors
/// When there is no Chromium.
pub fn chromium() -> anyhow::Result<Chromium> {
    found_or_installed(&CHROMIUM_PACKAGES, find_chromium).context(
        "the page's tests need Chromium; the variables CHROMIUM and CHROMEDRIVER can name another",
    )
}

/// Finds `valgrind`. On Debian, root installs it if it is missing. It blocks.
///
/// # Errors
/// When there is no `valgrind`.
pub fn valgrind() -> anyhow::Result<PathBuf> {
    found_or_installed(&["valgrind"], || find_program("valgrind"))
        .context("instructions are counted by valgrind")
}

/// Returns what `find` finds. If it finds nothing, installs these packages of Debian first.
fn found_or_installed<T>(packages: &[&str], find: impl Fn() -> Option<T>) -> anyhow::Result<T> {
    fs::create_dir_all(tools_folder())?;
    let lock = File::create(tools_folder().join("debian-lock"))?;
    lock.lock().context("cannot lock .tools")?;
    if let Some(found) = find() {
        return Ok(found);
    }
    let names = packages.join(" and ");
    let user = Command::new("id").arg("-u").output()?;
    ensure!(
        user.stdout.trim_ascii() == b"0" && find_program("apt-get").is_some(),
        "it is missing; Debian has it in {names}"
    );
    let apt_get = |arguments: &[&str]| {
        run(Command::new("apt-get")
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive"))
    };
    apt_get(&["update"])?;
    let mut install = vec!["install", "--yes", "--no-install-recommends"];
    install.extend(packages);
    apt_get(&install)?;
    find().with_context(|| format!("{names} was installed, and is not there"))
}

fn find_chromium() -> Option<Chromium> {
    let named = |variable: &str, program: &str| {
        std::env::var_os(variable)
            .map(PathBuf::from)
            .or_else(|| find_program(program))
    };
    Some(Chromium {
        browser: named("CHROMIUM", "chromium")?,
        driver: named("CHROMEDRIVER", "chromedriver")?,
    })
}

fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}

/// The system's Python.
struct Python {
    /// Its version and its path. An environment that was made with another Python is made again.
    identity: String,
}

impl Python {
    fn find() -> anyhow::Result<Self> {
        let program = "import sys; print(*sys.version_info[:2]); print(sys.version, sys.prefix)";
        let output = match Command::new("python3").args(["-c", program]).output() {
            Ok(output) if output.status.success() => output,
            Ok(output) => bail!(
                "python3 does not work: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            ),
            Err(error) if error.kind() == ErrorKind::NotFound => bail!(
                "python3 was not found; Debian and Ubuntu have it in the packages python3 and \
                 python3-venv"
            ),
            Err(error) => return Err(error).context("cannot run python3"),
        };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (version, identity) = text.split_once('\n').unwrap_or((text.as_str(), ""));
        let version = version
            .split_once(' ')
            .and_then(|(major, minor)| Some((major.parse().ok()?, minor.trim().parse().ok()?)))
            .context("cannot read python3's version")?;
        ensure!(
            version >= OLDEST_PYTHON,
            "python3 is {}.{}, but {}.{} is the oldest that the emulator and SAM work with",
            version.0,
            version.1,
            OLDEST_PYTHON.0,
            OLDEST_PYTHON.1
        );
        Ok(Self {
            identity: identity.trim().to_owned(),
        })
    }

    /// If a package of Debian is missing, `venv` is there without `ensurepip`, and says so only after it has
    /// made half of an environment.
    fn has_venv(&self) -> anyhow::Result<()> {
        let output = Command::new("python3")
            .args(["-c", "import ensurepip, venv"])
            .output()
            .context("cannot run python3")?;
        ensure!(
            output.status.success(),
            "python3 ({}) cannot make virtual environments; on Debian and Ubuntu: \
             apt install python3-venv",
            self.identity
        );
        Ok(())
    }
}

/// Runs a command to its end. Its output is shown only when it fails.
fn run(command: &mut Command) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let arguments = command.get_args().collect::<Vec<_>>().join(OsStr::new(" "));
    let output = command
        .output()
        .with_context(|| format!("cannot run {name}"))?;
    ensure!(
        output.status.success(),
        "{name} {} failed:\n{}{}",
        arguments.to_string_lossy(),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
