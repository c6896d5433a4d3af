use models::africastalking::ROBOT_TEXT;

use super::*;

#[tokio::test]
async fn reports_come_by_themselves_after_the_answer_with_the_fields_seen() {
    let customer = customer();
    let stand_in = stand_in_for(&customer).await;
    let data = data(send(&stand_in, PHONE, "hello")).await;
    stand_in
        .until(|stand_in| stand_in.callbacks().len() == 2)
        .await;
    assert_eq!(statuses(&stand_in), ["Submitted", "Success"]);
    let last = stand_in.callbacks().pop().unwrap();
    assert_eq!(
        last.field("id"),
        data["Recipients"][0]["messageId"].as_str()
    );
    assert_eq!(last.field("phoneNumber"), Some(PHONE));
    assert_eq!((last.status, last.attempt), (Some(200), 1));
    let names = |text: &str| {
        let mut names: Vec<String> = form_urlencoded::parse(text.as_bytes())
            .map(|(name, _)| name.into_owned())
            .collect();
        names.sort();
        names
    };
    let seen = include_str!("../../../testdata/delivery-report-success.form");
    let posted = customer.seen.read(|seen| seen[1].clone());
    assert_eq!(posted.0, "/reports");
    assert_eq!(names(&posted.1), names(seen.trim_end()));
}

#[tokio::test]
async fn an_incoming_sms_has_the_fields_seen_and_its_status_is_reported() {
    let customer = customer();
    let stand_in = stand_in_for(&customer).await;
    let sent = stand_in
        .sms_from_phone(PHONE, "P 12 + é\u{0}😀")
        .await
        .unwrap();
    assert_eq!((sent.status, sent.attempts), (Some(200), 1));
    let (path, body) = customer.seen.read(|seen| seen[0].clone());
    assert_eq!(path, "/incoming");
    let fields: Vec<(String, String)> = form_urlencoded::parse(body.as_bytes())
        .into_owned()
        .collect();
    let field = |name: &str| {
        fields
            .iter()
            .find(|(key, _)| key == name)
            .unwrap()
            .1
            .as_str()
    };
    assert_eq!(field("from"), PHONE);
    assert_eq!(field("to"), "20880");
    assert_eq!(field("text"), "P 12 + é\u{0}😀");
    assert_eq!(field("id"), sent.id);
    assert_eq!(field("cost"), "None");
    assert_eq!(field("date").len(), "2021-01-14 08:10:15".len());
    assert!(!field("linkId").is_empty() && !field("networkCode").is_empty());
    let seen = include_str!("../../../testdata/incoming-space-date.form");
    for (name, _) in form_urlencoded::parse(seen.trim_end().as_bytes()) {
        field(&name);
    }
}

#[tokio::test]
async fn a_callback_that_fails_is_tried_again_a_few_times_with_the_same_id() {
    let customer = customer();
    let stand_in = stand_in_for(&customer).await;
    customer
        .answers
        .change(|answers| answers.extend([500, 403]));
    let sent = stand_in.sms_from_phone("MTN", "").await.unwrap();
    assert_eq!((sent.status, sent.attempts), (Some(200), 3));
    let statuses: Vec<_> = stand_in
        .callbacks()
        .iter()
        .map(|callback| callback.status)
        .collect();
    assert_eq!(statuses, [Some(500), Some(403), Some(200)]);
    assert!(
        stand_in
            .callbacks()
            .iter()
            .all(|callback| callback.id == sent.id)
    );
    customer.answers.change(|answers| answers.extend([500; 4]));
    let sent = stand_in.sms_from_phone(PHONE, "hello").await.unwrap();
    assert_eq!((sent.status, sent.attempts), (Some(500), 3));
}

#[tokio::test]
async fn a_refused_callback_is_recorded_without_its_key() {
    let customer = customer();
    let stand_in = stand_in_for(&customer).await;
    drop(customer);
    let sent = stand_in.sms_from_phone(PHONE, "hello").await.unwrap();
    assert_eq!((sent.status, sent.attempts), (None, 3));
    let error = stand_in.callbacks()[0].error.clone().unwrap();
    assert!(!error.contains("key="), "{error}");
}

#[tokio::test]
async fn an_incoming_form_is_posted_as_it_is_given() {
    let customer = customer();
    let stand_in = stand_in_for(&customer).await;
    stand_in
        .incoming_form(&[("id", "x"), ("from", PHONE)])
        .await
        .unwrap();
    assert_eq!(
        customer.seen.read(|seen| seen[0].1.clone()),
        "id=x&from=%2B254700000001"
    );
}

#[tokio::test]
async fn without_a_callback_a_phone_can_send_nothing() {
    assert!(
        stand_in()
            .await
            .sms_from_phone(PHONE, "hello")
            .await
            .is_err()
    );
}

#[tokio::test]
async fn early_reports_are_answered_before_the_send_is() {
    let customer = customer();
    let stand_in = stand_in_for(&customer).await;
    stand_in
        .fault(AfricasTalkingFault::ReportsEarly, Scope::UntilCleared)
        .await;
    data(send(&stand_in, PHONE, "hello")).await;
    assert_eq!(statuses(&stand_in), ["Submitted", "Success"]);
}

#[tokio::test]
async fn late_reports_wait_until_they_are_released() {
    let customer = customer();
    let stand_in = stand_in_for(&customer).await;
    stand_in
        .fault(AfricasTalkingFault::ReportsLate, Scope::UntilCleared)
        .await;
    data(send(&stand_in, PHONE, "hello")).await;
    assert_eq!(
        (stand_in.paused_reports(), stand_in.callbacks().len()),
        (2, 0)
    );
    assert_eq!(stand_in.release_reports().await, 2);
    assert_eq!(statuses(&stand_in), ["Submitted", "Success"]);
    assert_eq!(stand_in.paused_reports(), 0);
}

#[tokio::test]
async fn reports_can_be_of_every_kind_the_contract_knows() {
    let kinds: [(AfricasTalkingFault, &[&str], usize); 9] = [
        (
            AfricasTalkingFault::ReportsReordered,
            &["Success", "Submitted", "Sent"],
            1,
        ),
        (
            AfricasTalkingFault::ReportsBufferedFirst,
            &["Buffered", "Submitted", "Success"],
            1,
        ),
        (
            AfricasTalkingFault::ReportsFailed,
            &["Submitted", "Failed"],
            0,
        ),
        (AfricasTalkingFault::ReportsRejected, &["Rejected"], 0),
        (
            AfricasTalkingFault::ReportsExpired,
            &["Submitted", "Expired"],
            0,
        ),
        (
            AfricasTalkingFault::ReportsAbsentSubscriber,
            &["Submitted", "AbsentSubscriber"],
            0,
        ),
        (
            AfricasTalkingFault::ReportsExpiredThenSuccess,
            &["Submitted", "Expired", "Success"],
            1,
        ),
        (
            AfricasTalkingFault::ReportsUnknownStatus,
            &["Submitted", "Teleported"],
            1,
        ),
        (
            AfricasTalkingFault::ReportsRepeated,
            &[
                "Submitted",
                "Submitted",
                "Submitted",
                "Success",
                "Success",
                "Success",
            ],
            1,
        ),
    ];
    for (fault, expected, received) in kinds {
        let seen = reports_under(fault, expected.len()).await;
        assert_eq!(
            seen,
            (
                expected.iter().map(|status| (*status).to_owned()).collect(),
                received
            ),
            "{fault:?}"
        );
    }
}

#[tokio::test]
async fn a_failed_report_has_its_reason_and_the_fields_seen() {
    let customer = customer();
    let stand_in = stand_in_for(&customer).await;
    stand_in
        .fault(AfricasTalkingFault::ReportsFailed, Scope::UntilCleared)
        .await;
    data(send(&stand_in, PHONE, "hello")).await;
    stand_in
        .until(|stand_in| stand_in.callbacks().len() == 2)
        .await;
    let failed = stand_in.callbacks().pop().unwrap();
    let seen = include_str!("../../../testdata/delivery-report-failed.form");
    let seen: Vec<String> = form_urlencoded::parse(seen.trim_end().as_bytes())
        .map(|(name, _)| name.into_owned())
        .collect();
    assert_eq!(
        failed
            .form
            .iter()
            .map(|(name, _)| name.clone())
            .collect::<Vec<_>>(),
        seen
    );
    assert_eq!(failed.field("failureReason"), Some("DeliveryFailure"));
}

#[tokio::test]
async fn no_reports_means_none() {
    let customer = customer();
    let stand_in = stand_in_for(&customer).await;
    stand_in
        .fault(AfricasTalkingFault::ReportsNone, Scope::Next(1))
        .await;
    data(send(&stand_in, PHONE, "first")).await;
    data(send(&stand_in, PHONE, "second")).await;
    stand_in
        .until(|stand_in| stand_in.callbacks().len() == 2)
        .await;
    let second = stand_in.phone(PHONE).pop().unwrap().id;
    assert!(
        stand_in
            .callbacks()
            .iter()
            .all(|callback| callback.id == second)
    );
    assert_eq!(stand_in.phone(PHONE).len(), 2);
}

#[tokio::test]
async fn a_report_can_be_posted_by_hand() {
    let customer = customer();
    let stand_in = stand_in_for(&customer).await;
    stand_in
        .fault(AfricasTalkingFault::ReportsNone, Scope::UntilCleared)
        .await;
    data(send(&stand_in, PHONE, "hello")).await;
    let id = stand_in.phone(PHONE)[0].id.clone();
    stand_in.report(&id, "Failed", Some("UserIsInactive")).await;
    let posted = stand_in.callbacks().pop().unwrap();
    assert_eq!(
        (posted.field("status"), posted.field("phoneNumber")),
        (Some("Failed"), Some(PHONE))
    );
    assert_eq!(posted.field("failureReason"), Some("UserIsInactive"));
}

#[tokio::test]
async fn a_robot_answers_every_sms() {
    let customer = customer();
    let stand_in = stand_in_for(&customer).await;
    stand_in
        .fault(
            AfricasTalkingFault::Robot,
            Scope::Matching(OTHER.to_owned()),
        )
        .await;
    data(send(&stand_in, &format!("{PHONE},{OTHER}"), "hello")).await;
    let incoming = |stand_in: &AfricasTalkingStandIn| {
        let mut all = stand_in.callbacks();
        all.retain(|callback| callback.kind == CallbackKind::Incoming);
        all
    };
    stand_in
        .until(|stand_in| !incoming(stand_in).is_empty())
        .await;
    let incoming = incoming(&stand_in);
    assert_eq!(incoming.len(), 1);
    assert_eq!(
        (incoming[0].field("from"), incoming[0].field("text")),
        (Some(OTHER), Some(ROBOT_TEXT))
    );
}

#[tokio::test]
async fn it_is_written_down_what_phones_have_sent_and_how_that_fares() {
    let customer = customer();
    let stand_in = stand_in_for(&customer).await;
    customer
        .answers
        .change(|answers| answers.extend([503, 200]));
    stand_in.sms_from_phone(PHONE, "taken").await.unwrap();
    customer
        .answers
        .change(|answers| answers.extend([503, 503, 503]));
    stand_in.sms_from_phone(OTHER, "refused").await.unwrap();
    let sent = stand_in.from_phones();
    let taken = (&*sent[0].from, &*sent[0].text, sent[0].attempts);
    assert_eq!(taken, (PHONE, "taken", 2));
    assert!(sent[0].is_accepted() && sent[0].is_over);
    assert_eq!((sent[1].status, sent[1].attempts), (Some(503), 3));
    assert!(!sent[1].is_accepted() && sent[1].is_over);
}
