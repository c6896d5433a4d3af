//! `cargo sandbox` with a real end says what is wrong before it starts anything. Medic's model is the
//! server somewhere else.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::process::Stdio;

use sandbox::faults::Scope;
use sandbox::medic::{MedicConfig, MedicFault, MedicStandIn};
use tokio::process::Command;

const PASSWORD: &str = "a-password-that-nobody-shall-see";

async fn medic() -> MedicStandIn {
    let config = MedicConfig {
        user: "clinic".to_owned(),
        password: PASSWORD.to_owned(),
        ..MedicConfig::default()
    };
    MedicStandIn::start(config).await.unwrap()
}

/// What the program says when it ends by itself, with nobody at the keyboard.
async fn refusal(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_sandbox"))
        .args(arguments)
        .env_remove("MEDIC_PASSWORD")
        .env_remove("AFRICASTALKING_API_KEY")
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{arguments:?}: {said}");
    assert!(!said.contains(PASSWORD), "{said}");
    assert!(output.stdout.is_empty(), "it has begun: {said}");
    said
}

async fn with_medic(medic: &MedicStandIn, password: &str) -> String {
    let url = medic.url();
    let arguments = ["--medic-url", &url, "--medic-user", "clinic"];
    refusal(&arguments, &[("MEDIC_PASSWORD", password)]).await
}

#[tokio::test]
async fn a_medic_with_which_it_would_not_work_is_named_before_anything_starts() {
    let medic = medic().await;
    let said = with_medic(&medic, "wrong").await;
    assert!(said.contains("refuses the user `clinic`"), "{said}");
    medic.set_permitted(false);
    let said = with_medic(&medic, PASSWORD).await;
    assert!(said.contains("can_access_gateway_api"), "{said}");
    medic.set_permitted(true);
    for (fault, words) in [
        (MedicFault::Html200, "something else than a gateway's API"),
        (MedicFault::Proxy504Html, "HTTP 504"),
        (MedicFault::Down, "no connection comes about"),
    ] {
        medic.fault(fault, Scope::UntilCleared).await;
        let said = with_medic(&medic, PASSWORD).await;
        assert!(said.contains(words), "{fault:?}: {said}");
        medic.clear_faults().await;
    }
    assert!(medic.posts().is_empty());
}

#[tokio::test]
async fn messages_that_would_be_sent_now_need_a_yes() {
    let medic = medic().await;
    for text in ["one", "two"] {
        medic.queue("+254700000001", text).unwrap();
    }
    let said = with_medic(&medic, PASSWORD).await;
    assert!(said.contains("would be sent now: 2."), "{said}");
    assert!(said.contains("nobody receives them"), "{said}");
    assert!(said.contains("Without --keep"), "{said}");
    assert!(said.contains("--yes answers"), "{said}");
    medic.with_model(|medic| {
        for message in &mut medic.outgoing {
            message.state = sandbox::medic::MessageState::ReceivedByGateway;
        }
    });
    let said = with_medic(&medic, PASSWORD).await;
    assert!(said.contains("Another gateway polls this Medic"), "{said}");
    assert!(said.contains("2 were given to one"), "{said}");
}

#[tokio::test]
async fn a_password_is_no_argument_and_is_not_missing() {
    let said = refusal(&["--medic-url", "http://127.0.0.1:1"], &[]).await;
    assert!(said.contains("--medic-user"), "{said}");
    let url = format!("http://clinic:{PASSWORD}@127.0.0.1:1");
    let arguments = ["--medic-url", &url, "--medic-user", "clinic"];
    let said = refusal(&arguments, &[("MEDIC_PASSWORD", PASSWORD)]).await;
    assert!(said.contains("the password is asked for"), "{said}");
    let arguments = ["--medic-url", "http://127.0.0.1:1", "--medic-user", "a"];
    let said = refusal(&arguments, &[]).await;
    assert!(said.contains("MEDIC_PASSWORD"), "{said}");
}

#[tokio::test]
async fn what_belongs_to_an_account_needs_one() {
    let said = refusal(&["--public-url", "https://clinic.example.org"], &[]).await;
    assert!(said.contains("--africastalking-username"), "{said}");
    let said = refusal(&["--africastalking-username", "clinic"], &[]).await;
    assert!(said.contains("AFRICASTALKING_API_KEY"), "{said}");
}
