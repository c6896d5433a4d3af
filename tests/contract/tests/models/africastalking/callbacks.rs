//! Callbacks: delivery reports and incoming SMS.

use models::africastalking::{AfricasTalkingFault, ReportToPost, SmsFromPhone};

use super::bench::{AfricasTalkingBench, PHONE, UNASSIGNED, sms};
use crate::in_process_and_over_http;

in_process_and_over_http! { AfricasTalkingBench:
    reports_come_in_every_order_early_late_repeated_unknown_or_never
    a_report_has_the_fields_seen
    an_incoming_message_has_the_fields_seen
}

async fn reports_come_in_every_order_early_late_repeated_unknown_or_never(
    bench: AfricasTalkingBench,
) {
    let stories: [(AfricasTalkingFault, &[&str]); 8] = [
        (AfricasTalkingFault::ReportsEarly, &["Submitted", "Success"]),
        (AfricasTalkingFault::ReportsLate, &["Submitted", "Success"]),
        (AfricasTalkingFault::ReportsNone, &[]),
        (
            AfricasTalkingFault::ReportsReordered,
            &["Success", "Submitted", "Sent"],
        ),
        (
            AfricasTalkingFault::ReportsUnknownStatus,
            &["Submitted", "Teleported"],
        ),
        (
            AfricasTalkingFault::ReportsAbsentSubscriber,
            &["Submitted", "AbsentSubscriber"],
        ),
        (
            AfricasTalkingFault::ReportsExpiredThenSuccess,
            &["Submitted", "Expired", "Success"],
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
        ),
    ];
    for (fault, statuses) in stories {
        let reported = bench.reports_under(fault, statuses.len()).await;
        assert_eq!(reported, statuses, "{fault:?}");
    }
}

async fn a_report_has_the_fields_seen(bench: AfricasTalkingBench) {
    let report = ReportToPost {
        id: "ATXid_1".to_owned(),
        number: PHONE.to_owned(),
        status: "Failed".to_owned(),
        failure_reason: Some("DeliveryFailure".to_owned()),
    };
    let form = match &bench {
        AfricasTalkingBench::InProcess(model) => model.borrow().application.report_form(&report),
        AfricasTalkingBench::OverHttp(stand_in) => {
            let id = bench.send(sms(PHONE)).await["Recipients"][0]["messageId"].take();
            let id = id.as_str().unwrap();
            stand_in
                .report(id, &report.status, report.failure_reason.as_deref())
                .await;
            let callbacks = stand_in.callbacks().into_iter();
            let mut failed = callbacks.filter(|one| one.field("status") == Some("Failed"));
            failed.next().unwrap().form
        }
    };
    let names: Vec<&str> = form.iter().map(|(name, _)| name.as_str()).collect();
    let expected = [
        "phoneNumber",
        "failureReason",
        "retryCount",
        "id",
        "status",
        "networkCode",
    ];
    assert_eq!(names, expected);
    assert_eq!(form[0].1, PHONE);
    assert_eq!(form[5].1, "99999");
}

async fn an_incoming_message_has_the_fields_seen(bench: AfricasTalkingBench) {
    let form = match &bench {
        AfricasTalkingBench::InProcess(model) => {
            model.borrow().application.incoming_form(&SmsFromPhone {
                id: "5e3b8c1e-0001-4000-a000-000000000001".to_owned(),
                from: "MTN".to_owned(),
                text: String::new(),
                link_id: "0".to_owned(),
                at_ms: 1_610_611_815_000,
            })
        }
        AfricasTalkingBench::OverHttp(stand_in) => {
            stand_in.set_callbacks(UNASSIGNED, UNASSIGNED);
            // Also from an alphanumeric sender, and an empty text.
            stand_in.sms_from_phone("MTN", "").await.unwrap();
            stand_in.callbacks().remove(0).form
        }
    };
    let value = |name: &str| {
        let field = form.iter().find(|(other, _)| other == name);
        field.map(|(_, value)| value.as_str()).unwrap()
    };
    assert_eq!(
        (value("from"), value("text"), value("to")),
        ("MTN", "", "20880")
    );
    assert_eq!((value("id").len(), value("cost")), (36, "None"));
    // A date without a zone.
    assert_eq!(value("date").len(), "2021-01-14 08:10:15".len());
    if matches!(bench, AfricasTalkingBench::InProcess(_)) {
        assert_eq!(value("date"), "2021-01-14 08:10:15");
    }
    assert!(!value("linkId").is_empty() && !value("networkCode").is_empty());
}
