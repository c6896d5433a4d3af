//! The processors that a bundle can be for.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, ensure};
use clap::ValueEnum;

/// A processor of AWS Lambda, by Lambda's name for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Processor {
    /// Intel and AMD.
    #[value(name = "x86_64")]
    X86,
    /// AWS Graviton.
    Arm64,
}

impl Processor {
    /// As Lambda and the template name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::X86 => "x86_64",
            Self::Arm64 => "arm64",
        }
    }

    /// As Rust names it.
    pub fn target(self) -> &'static str {
        match self {
            Self::X86 => "x86_64-unknown-linux-gnu",
            Self::Arm64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// The field `e_machine` of an ELF program for it.
    fn machine(self) -> u16 {
        match self {
            Self::X86 => 0x3e,
            Self::Arm64 => 0xb7,
        }
    }

    /// Checks that a program was built for this processor.
    ///
    /// # Errors
    /// When it cannot be read, or was built for something else.
    pub fn check(self, program: &Path) -> anyhow::Result<()> {
        let mut header = [0; 20];
        let read = File::open(program).and_then(|mut file| file.read_exact(&mut header));
        read.with_context(|| format!("cannot read the program {}", program.display()))?;
        let is_for_this = match header {
            [0x7f, b'E', b'L', b'F', .., low, high] => {
                u16::from_le_bytes([low, high]) == self.machine()
            }
            _ => false,
        };
        let program = program.display();
        ensure!(is_for_this, "{program} is no program for {self}");
        Ok(())
    }
}

impl fmt::Display for Processor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
