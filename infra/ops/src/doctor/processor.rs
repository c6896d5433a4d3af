//! Whether each function runs on the processor that the stack's parameter names, and whether its
//! program was built for that processor.

use std::io::Read as _;

use aws_sdk_lambda::operation::get_function::GetFunctionOutput;
use aws_sdk_lambda::types::FunctionConfiguration;
use bridge::adapters::http_client::exchange;
use bridge::ports::Response;
use flate2::read::DeflateDecoder;

use super::{ANSWER_WITHIN, Finding, Http};
use crate::failure::Failure;
use crate::stack::{DEPLOY, Resource, Stack};

const CHECK: &str = "processor";

/// The default of the parameter.
const USUAL: &str = "x86_64";

/// What Lambda runs of a package.
const PROGRAM: &[u8] = b"bootstrap";

/// So much of a package is read: far more than the header of its first file.
const BEGINNING: &str = "bytes=0-4095";

/// Compares configuration, program and parameter.
pub async fn examine(
    stack: &Stack,
    http: &Http,
    resources: &Result<Vec<Resource>, Failure>,
) -> Vec<Finding> {
    let Ok(resources) = resources else {
        return vec![Finding::unknown(
            CHECK,
            "the stack's resources are not known",
        )];
    };
    let wanted = stack.parameter("Architecture").unwrap_or(USUAL);
    let mut findings = Vec::new();
    let functions = resources
        .iter()
        .filter(|resource| resource.kind == "AWS::Lambda::Function");
    for function in functions {
        let question = stack.lambda.get_function();
        let question = question.function_name(&function.physical_id);
        findings.extend(match question.send().await {
            Ok(answer) => {
                let program = program_of(&answer, http).await;
                judge(&function.logical_id, wanted, &configured(&answer), program)
            }
            Err(error) => {
                let failure = Failure::call("ask for a function", &error);
                Some(Finding::failed(CHECK, &failure))
            }
        });
    }
    if findings.is_empty() {
        findings.push(Finding::fine(
            CHECK,
            format!("the functions run on {wanted}, and are built for it"),
        ));
    }
    findings
}

/// The processor that Lambda runs the function on.
fn configured(answer: &GetFunctionOutput) -> String {
    let architectures = answer
        .configuration()
        .map(FunctionConfiguration::architectures);
    let first = architectures.and_then(|architectures| architectures.first());
    first.map_or_else(|| USUAL.to_owned(), |first| first.as_str().to_owned())
}

/// What a package has as its first file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PackagedFile {
    /// A program for this processor.
    Program(&'static str),
    /// Something that Lambda does not run.
    NoProgram,
}

/// What the deployed package has, as far as it can be known.
async fn program_of(answer: &GetFunctionOutput, http: &Http) -> Option<PackagedFile> {
    let package = http.get(answer.code()?.location()?);
    match exchange(package.header("range", BEGINNING), ANSWER_WITHIN).await {
        Response::Answer {
            status: 200 | 206,
            body,
        } => first_file(&body),
        _ => None,
    }
}

fn first_file(archive: &[u8]) -> Option<PackagedFile> {
    match first_bytes(archive)? {
        (PROGRAM, bytes) => processor_of(&bytes?).map(PackagedFile::Program),
        _ => Some(PackagedFile::NoProgram),
    }
}

fn judge(
    name: &str,
    wanted: &str,
    configured: &str,
    program: Option<PackagedFile>,
) -> Option<Finding> {
    if configured != wanted {
        return Some(Finding::wrong(
            CHECK,
            format!("{name} runs on {configured}, and the parameter Architecture says {wanted}"),
            "somebody changed the function by hand: deploy again",
        ));
    }
    let (what, advice) = match program? {
        PackagedFile::Program(program) if program == configured => return None,
        PackagedFile::Program(program) => (
            format!(
                "the program of {name} is built for {program}, and runs on {configured}: it cannot start"
            ),
            format!(
                "deploy the bundle's template for {configured}, or `sam build` with the parameter Architecture={configured} \
                 and then {DEPLOY}"
            ),
        ),
        PackagedFile::NoProgram => (
            format!("the package of {name} has no program: it cannot start"),
            format!("the source code was deployed: `sam build` first, then {DEPLOY}"),
        ),
    };
    Some(Finding::wrong(CHECK, what, advice))
}

/// The name of the first file in a zip archive, and its first bytes if they can be read. In a package that is the
/// program: it has no other file.
fn first_bytes(archive: &[u8]) -> Option<(&[u8], Option<[u8; 20]>)> {
    const HEADER: usize = 30;
    let number = |at: usize| {
        let bytes = archive.get(at..at.checked_add(2)?)?;
        Some(u16::from_le_bytes(bytes.try_into().ok()?))
    };
    if !archive.starts_with(b"PK\x03\x04") {
        return None;
    }
    let (name, extra) = (usize::from(number(26)?), usize::from(number(28)?));
    let begin = HEADER.checked_add(name)?;
    let data = archive.get(begin.checked_add(extra)?..)?;
    let first = || {
        let mut first = [0; 20];
        match number(8)? {
            0 => first.copy_from_slice(data.get(..20)?),
            8 => DeflateDecoder::new(data).read_exact(&mut first).ok()?,
            _ => return None,
        }
        Some(first)
    };
    Some((archive.get(HEADER..begin)?, first()))
}

/// The processor of an ELF program, by Lambda's name for it.
fn processor_of(program: &[u8; 20]) -> Option<&'static str> {
    const X86_64: u16 = 0x3e;
    const AARCH64: u16 = 0xb7;
    let [0x7f, b'E', b'L', b'F', .., low, high] = program else {
        return None;
    };
    match u16::from_le_bytes([*low, *high]) {
        X86_64 => Some("x86_64"),
        AARCH64 => Some("arm64"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::DeflateEncoder;
    use std::io::Write as _;

    /// The beginning of an ELF program for this machine, and something behind it.
    fn program(machine: u8) -> Vec<u8> {
        let mut program = b"\x7fELF\x02\x01\x01".to_vec();
        program.resize(18, 0);
        program.extend([machine, 0]);
        program.extend((0..200_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()));
        program
    }

    /// A zip archive's first entry, as far as it is read.
    fn archive(method: u8, data: &[u8]) -> Vec<u8> {
        let mut archive = b"PK\x03\x04".to_vec();
        archive.extend([20, 0, 0, 0, method, 0]);
        archive.resize(26, 0);
        archive.extend([9, 0, 4, 0]);
        archive.extend(b"bootstrapEXTR");
        archive.extend(data);
        archive.truncate(4096);
        archive
    }

    fn deflated(data: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn the_processor_of_a_package_is_in_its_first_bytes() {
        for (machine, expected) in [(0x3e, Some("x86_64")), (0xb7, Some("arm64")), (0x28, None)] {
            for archive in [
                archive(8, &deflated(&program(machine))),
                archive(0, &program(machine)),
            ] {
                assert_eq!(first_file(&archive), expected.map(PackagedFile::Program));
            }
        }
    }

    #[test]
    fn a_package_of_source_code_has_no_program() {
        let mut archive = archive(0, b"[package] and a lot of it");
        archive.splice(30..39, *b"Cargotoml");
        assert_eq!(first_file(&archive), Some(PackagedFile::NoProgram));
    }

    #[test]
    fn what_is_no_package_says_nothing() {
        let script = archive(0, b"#!/bin/sh and a lot of it");
        assert_eq!(first_file(&script), None);
        for bytes in [
            b"".to_vec(),
            b"PK\x03\x04".to_vec(),
            b"<html>".to_vec(),
            archive(8, b"\xff\xff\xff"),
            archive(12, &program(0x3e)),
            archive(0, b"short"),
        ] {
            assert_eq!(first_file(&bytes), None);
        }
    }

    #[test]
    fn a_function_or_a_program_for_another_processor_is_wrong() {
        let judged = |wanted, configured, program| judge("F", wanted, configured, program);
        let program = |processor| Some(PackagedFile::Program(processor));
        assert!(judged("x86_64", "x86_64", program("x86_64")).is_none());
        assert!(judged("arm64", "arm64", None).is_none());
        let finding = judged("x86_64", "arm64", program("arm64")).unwrap();
        assert!(
            finding
                .what
                .contains("the parameter Architecture says x86_64")
        );
        let finding = judged("arm64", "arm64", program("x86_64")).unwrap();
        assert!(finding.what.contains("built for x86_64, and runs on arm64"));
        assert!(finding.advice.contains("Architecture=arm64"), "{finding:?}");
        let finding = judged("arm64", "arm64", Some(PackagedFile::NoProgram)).unwrap();
        assert!(finding.advice.contains("`sam build` first"), "{finding:?}");
    }
}
