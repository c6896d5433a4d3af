//! Who is let in, and with what kind of a request.

use models::medic::LONGEST_BODY;

use super::bench::{MedicBench, get, login, message, post, without};
use crate::in_process_and_over_http;

in_process_and_over_http! { MedicBench:
    a_get_checks_address_and_credentials
    wrong_credentials_are_a_401_or_a_redirect_to_the_login_page
    ten_failed_logins_in_ten_seconds_lock_the_user_name_also_for_the_right_password
    without_the_permission_it_is_a_403
    the_content_type_is_exactly_json
    more_than_32_mib_are_a_413
}

async fn a_get_checks_address_and_credentials(bench: MedicBench) {
    let got = bench.call(get("/api/sms")).await;
    assert_eq!(
        (got.status, got.body.as_str()),
        (200, r#"{"medic-gateway":true}"#)
    );
}

async fn wrong_credentials_are_a_401_or_a_redirect_to_the_login_page(bench: MedicBench) {
    let wrong = || {
        login(
            without(get("/api/sms"), "Authorization"),
            "gateway",
            "wrong",
        )
    };
    let got = bench.call(wrong()).await;
    assert_eq!(
        (got.status, got.body.as_str()),
        (401, r#"{"code":401,"error":"unauthorized"}"#)
    );
    assert_eq!(bench.call(without(wrong(), "Accept")).await.status, 302);
}

async fn ten_failed_logins_in_ten_seconds_lock_the_user_name_also_for_the_right_password(
    bench: MedicBench,
) {
    for _ in 0..10 {
        let wrong = login(without(post(&[], &[]), "Authorization"), "gateway", "wrong");
        assert_eq!(bench.call(wrong).await.status, 401);
    }
    assert_eq!(bench.post(&[], &[]).await.status, 429);
    bench.with(|medic| medic.logins.pass_time(10_000));
    assert_eq!(bench.post(&[], &[]).await.status, 200);
}

async fn without_the_permission_it_is_a_403(bench: MedicBench) {
    bench.with(|medic| medic.logins.permitted = false);
    assert_eq!(bench.post(&[message("a", "x")], &[]).await.status, 403);
    assert!(bench.stored().is_empty());
}

async fn the_content_type_is_exactly_json(bench: MedicBench) {
    for content_type in ["application/json; charset=utf-8", "text/plain"] {
        let request = without(post(&[message("a", "x")], &[]), "Content-Type");
        let request = request.with_header("Content-Type", content_type);
        assert_eq!(bench.call(request).await.status, 400, "{content_type}");
    }
    let request = without(post(&[message("a", "x")], &[]), "Content-Type");
    assert_eq!(bench.call(request).await.status, 400);
    assert!(bench.stored().is_empty());
}

async fn more_than_32_mib_are_a_413(bench: MedicBench) {
    let large = "x".repeat(LONGEST_BODY);
    assert_eq!(bench.post(&[message("a", &large)], &[]).await.status, 413);
    assert!(bench.stored().is_empty());
}
