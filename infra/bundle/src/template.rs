//! The template of the bundle: that of the project, with packages in the place of source code.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, ensure};

use crate::documents::for_the_bundle;
use crate::processor::Processor;
use crate::{FUNCTIONS, repository};

/// The parameter that says what the functions were built for, as far as it is replaced.
const ARCHITECTURE: &str = "    Default: x86_64\n    AllowedValues: [x86_64, arm64]\n";

/// Writes the template for the packages of one processor.
///
/// # Errors
/// When the project's template is not written as it is expected here.
pub fn write(processor: Processor, is_first: bool, bundle: &Path) -> anyhow::Result<()> {
    let file = repository().join("infra/template.yaml");
    let template =
        fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let name = match is_first {
        true => "template.yaml".to_owned(),
        false => format!("template-{processor}.yaml"),
    };
    fs::write(bundle.join(name), packaged(&template, processor)?)?;
    Ok(())
}

/// A template that is deployed as it is. Its parameter `Architecture` has one value only: with the packages
/// for another processor no function would start.
fn packaged(template: &str, processor: Processor) -> anyhow::Result<String> {
    let mut packaged = for_the_bundle(template);
    for function in FUNCTIONS {
        let source = format!("      CodeUri: ../functions/{function}/\n");
        let package = format!("      CodeUri: functions/{processor}/{function}.zip\n");
        packaged = replace_one(&packaged, &source, &package)?;
        let build = format!(
            "    Metadata: {{ BuildMethod: rust-cargolambda, BuildProperties: {{ Binary: {function} }} }}\n"
        );
        packaged = replace_one(&packaged, &build, "")?;
    }
    let architecture = format!("    Default: {processor}\n    AllowedValues: [{processor}]\n");
    replace_one(&packaged, ARCHITECTURE, &architecture)
}

fn replace_one(text: &str, old: &str, new: &str) -> anyhow::Result<String> {
    let times = text.matches(old).count();
    ensure!(times == 1, "the template has {times} times: {old}");
    Ok(text.replace(old, new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packaged_template_names_packages_and_builds_nothing() {
        let template = fs::read_to_string(repository().join("infra/template.yaml")).unwrap();
        let packaged = packaged(&template, Processor::Arm64).unwrap();
        for function in FUNCTIONS {
            let package = format!("CodeUri: functions/arm64/{function}.zip\n");
            assert!(packaged.contains(&package), "{function}");
        }
        assert!(packaged.contains("    Default: arm64\n    AllowedValues: [arm64]\n"));
        for word in ["BuildMethod", "cargo", "../"] {
            let line = packaged.lines().find(|line| line.contains(word));
            assert_eq!(line, None, "{word}");
        }
    }

    #[test]
    fn a_template_that_is_written_otherwise_is_refused() {
        assert!(packaged("Resources: {}\n", Processor::X86).is_err());
    }
}
