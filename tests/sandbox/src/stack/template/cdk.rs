//! The construct for CDK, which includes the template, and its example.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::decided::{Parameters, decided};
use super::{file, run, transformed};
use crate::stack::{FUNCTIONS, work_folder};
use crate::tools::repository;

/// The stack's name in the example.
const STACK: &str = "cht-africastalking";

/// The parameter that CDK adds to every template: the version of its own set-up of the account.
const OF_CDK: &str = "BootstrapVersion";

/// Where Medic is, in both examples.
const MEDIC_URL: &str = "https://medic.example.org";

/// The host name of the callback URLs in the example that has one.
const DOMAIN_NAME: &str = "sms.example.org";

/// Runs the construct's own tests, and compiles them and the example against the declared types. Needs Node.js 20 or newer
/// with `npm`. It blocks.
///
/// # Errors
/// With the output of what fails.
pub fn test_construct() -> anyhow::Result<()> {
    let package = installed_package()?;
    let mut compile = Command::new("node");
    compile.arg("node_modules/typescript/bin/tsc");
    compile.args(["--project", "jsconfig.json"]);
    run(compile.current_dir(&package), "tsc in infra/cdk")?;
    let mut test = Command::new("node");
    test.args(["--test", "test/construct.test.js"]);
    run(test.current_dir(&package), "node --test in infra/cdk").map(drop)
}

/// Synthesises the example with the packages that its lock file pins: from a checkout with nothing else, and from a release
/// bundle with a topic and a host name. Checks that both describe the same system as the template. Needs Node.js 20 or newer
/// with `npm`. It blocks.
///
/// # Errors
/// With the output of `npm` or `cdk` when they fail, or with the difference.
pub fn synthesise() -> anyhow::Result<()> {
    let folder = work_folder().join("cdk");
    let checkout = checkout(&folder)?;
    let synthesised = synthesised(&folder, "from-checkout", &[("checkout", &checkout)])?;
    is_the_template(&synthesised, &[("MedicUrl", json!(MEDIC_URL))], &[])?;

    let bundle = bundle(&folder)?;
    let context = [
        ("bundle", bundle.as_str()),
        ("alarmEmail", "on-call@example.org"),
        ("domainName", DOMAIN_NAME),
        ("hostedZoneId", "Z0123456789"),
        ("zoneName", "example.org"),
    ];
    let synthesised = self::synthesised(&folder, "from-bundle", &context)?;
    let given = [
        ("MedicUrl", json!(MEDIC_URL)),
        ("DomainName", json!(DOMAIN_NAME)),
        ("AlarmTopicArn", reference(&synthesised, "AWS::SNS::Topic")?),
        (
            "CertificateArn",
            reference(&synthesised, "AWS::CertificateManager::Certificate")?,
        ),
    ];
    let added = [
        "AWS::SNS::Topic",
        "AWS::SNS::Subscription",
        "AWS::CertificateManager::Certificate",
        "AWS::Route53::RecordSet",
    ];
    is_the_template(&synthesised, &given, &added)
}

/// A checkout with functions. CDK only needs the folders of the packages, and does not read what is in them.
fn checkout(folder: &Path) -> anyhow::Result<String> {
    let checkout = folder.join("checkout");
    fs::create_dir_all(checkout.join("infra"))?;
    fs::copy(file(), checkout.join("infra/template.yaml"))?;
    for function in FUNCTIONS {
        let package = checkout.join("target/lambda").join(function);
        fs::create_dir_all(&package)?;
        fs::write(package.join("bootstrap"), function)?;
    }
    Ok(checkout.display().to_string())
}

/// A release bundle with functions.
fn bundle(folder: &Path) -> anyhow::Result<String> {
    let bundle = folder.join("bundle");
    let packages = bundle.join("functions/x86_64");
    fs::create_dir_all(&packages)?;
    fs::copy(file(), bundle.join("template.yaml"))?;
    for function in FUNCTIONS {
        fs::write(packages.join(format!("{function}.zip")), function)?;
    }
    Ok(bundle.display().to_string())
}

/// Synthesises the example with this context, lints the result, and transforms it as SAM does.
fn synthesised(folder: &Path, name: &str, context: &[(&str, &str)]) -> anyhow::Result<Value> {
    let package = installed_package()?;
    let output = folder.join(name);
    let mut command = Command::new("node");
    command.arg(package.join("node_modules/aws-cdk/bin/cdk"));
    command.args(["synth", "--quiet", "--no-notices", "--output"]);
    command.arg(&output);
    for (key, value) in context {
        command.args(["--context", &format!("{key}={value}")]);
    }
    run(command.current_dir(&package), "cdk synth")?;
    let template = output.join(format!("{STACK}.template.json"));
    // W1020: where a value is filled in, nothing may be left to substitute.
    super::lint_transformed_without(&["W1020"], &template)?;
    transformed(&template)
}

/// The folder of the construct, with the packages that its lock file pins.
fn installed_package() -> anyhow::Result<PathBuf> {
    let package = repository().join("infra/cdk");
    let lock = fs::read(package.join("package-lock.json"))?;
    let stamp = package.join("node_modules/installed");
    // The stamp is written last, so an interrupted installation has none.
    if fs::read(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(package);
    }
    let mut command = Command::new("npm");
    command.args(["ci", "--no-audit", "--no-fund"]);
    run(
        command.current_dir(&package),
        "npm ci in infra/cdk (Node.js 20 or newer)",
    )?;
    fs::write(&stamp, lock).context("cannot write the stamp of the packages")?;
    Ok(package)
}

/// The reference to the one resource of a type.
fn reference(template: &Value, kind: &str) -> anyhow::Result<Value> {
    let mut resources = entries(template, "Resources");
    let found = resources.find(|(_, resource)| resource["Type"] == kind);
    let (name, _) = found.with_context(|| format!("CDK makes no {kind}"))?;
    Ok(json!({ "Ref": name }))
}

/// Checks that a synthesised template has every resource and output of the template with these parameters, and nothing more
/// than resources of the types that the example adds. Only the places of the functions' packages differ.
fn is_the_template(
    synthesised: &Value,
    given: &[(&str, Value)],
    added_types: &[&str],
) -> anyhow::Result<()> {
    let template = transformed(&file())?;
    let parameters = Parameters::new(&template, given)?;
    let ours = decided(&template, &parameters)?;
    let theirs = decided(synthesised, &Parameters::default())?;
    for section in ["Resources", "Outputs"] {
        for (name, our) in entries(&ours, section) {
            let their = theirs.pointer(&format!("/{section}/{name}"));
            let their = their.with_context(|| format!("CDK leaves out {name}"))?;
            ensure!(
                our == their,
                "CDK makes another {name} of it: {their} and not {our}"
            );
        }
        for (name, their) in entries(&theirs, section) {
            let is_ours = ours.pointer(&format!("/{section}/{name}")).is_some();
            let is_expected = added_types.iter().any(|added| their["Type"] == *added);
            ensure!(is_ours || is_expected, "CDK adds {name} to the {section}");
        }
    }
    let mut parameters = entries(synthesised, "Parameters");
    ensure!(
        parameters.all(|(name, _)| name == OF_CDK),
        "CDK leaves parameters: {}",
        synthesised["Parameters"]
    );
    Ok(())
}

fn entries<'a>(
    template: &'a Value,
    section: &str,
) -> impl Iterator<Item = (&'a String, &'a Value)> {
    let section = template.get(section).and_then(Value::as_object);
    section.into_iter().flatten()
}
