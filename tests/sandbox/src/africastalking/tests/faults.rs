use super::*;

#[tokio::test]
async fn the_refusal_seen_is_the_refusal_made() {
    let stand_in = stand_in().await;
    stand_in
        .fault(AfricasTalkingFault::UserInBlacklist, Scope::Next(1))
        .await;
    let (_, body) = answer(send(&stand_in, PHONE, "hello")).await;
    assert_eq!(
        body,
        include_str!("../../../testdata/send-user-in-blacklist-406.json").trim_end()
    );
}

#[tokio::test]
async fn an_accepted_sms_can_be_hidden_behind_its_line() {
    let (line, received) = line_under(AfricasTalkingFault::AcceptedInternalServerError).await;
    assert_eq!(
        (&line["statusCode"], &line["messageId"], received),
        (&500.into(), &"None".into(), 1)
    );
    let (line, received) = line_under(AfricasTalkingFault::AcceptedIdNone).await;
    assert_eq!(
        (&line["statusCode"], &line["messageId"], received),
        (&101.into(), &"None".into(), 1)
    );
    let (line, received) = line_under(AfricasTalkingFault::AcceptedNoStatusCode).await;
    assert_eq!(
        (line.get("statusCode"), &line["status"], received),
        (None, &"Success".into(), 1)
    );
}

#[tokio::test]
async fn a_201_can_hold_no_recipients() {
    for (fault, message) in [
        (AfricasTalkingFault::NoRecipients, "InvalidSenderId"),
        (AfricasTalkingFault::OutOfCreditEmpty, "InsufficientBalance"),
    ] {
        let stand_in = stand_in().await;
        stand_in.fault(fault, Scope::UntilCleared).await;
        let data = data(send(&stand_in, PHONE, "hello")).await;
        assert_eq!(data["Message"], message);
        assert_eq!(data["Recipients"].as_array().unwrap().len(), 0);
        assert!(stand_in.accepted().is_empty());
    }
}

#[tokio::test]
async fn an_http_error_is_plain_text_and_accepts_only_where_its_name_says_so() {
    let errors = [
        (AfricasTalkingFault::Http400, 400, 0),
        (AfricasTalkingFault::Http401, 401, 0),
        (AfricasTalkingFault::OutOfCreditHttp, 402, 0),
        (AfricasTalkingFault::Http429, 429, 0),
        (AfricasTalkingFault::Http500, 500, 0),
        (AfricasTalkingFault::Http502, 502, 0),
        (AfricasTalkingFault::Http503, 503, 0),
        (AfricasTalkingFault::AcceptedHttp500, 500, 1),
        (AfricasTalkingFault::AcceptedHttp502, 502, 1),
        (AfricasTalkingFault::AcceptedHttp503, 503, 1),
    ];
    for (fault, expected, received) in errors {
        let stand_in = stand_in().await;
        stand_in.fault(fault, Scope::Next(1)).await;
        let (status, body) = answer(send(&stand_in, PHONE, "hello")).await;
        assert_eq!(status, expected, "{fault:?}");
        assert!(serde_json::from_str::<Value>(&body).is_err(), "{body}");
        assert_eq!(stand_in.phone(PHONE).len(), received, "{fault:?}");
        data(send(&stand_in, PHONE, "and now")).await;
    }
}

#[tokio::test]
async fn an_unreadable_answer_hides_an_accepted_sms() {
    for fault in [
        AfricasTalkingFault::AcceptedHtml,
        AfricasTalkingFault::AcceptedTruncated,
        AfricasTalkingFault::AcceptedEmpty,
    ] {
        let stand_in = stand_in().await;
        stand_in.fault(fault, Scope::UntilCleared).await;
        let (status, body) = answer(send(&stand_in, PHONE, "hello")).await;
        assert_eq!(status, 201);
        assert!(serde_json::from_str::<Value>(&body).is_err(), "{body}");
        assert_eq!(stand_in.phone(PHONE).len(), 1);
    }
}

#[tokio::test]
async fn a_hang_never_answers_whether_it_accepted_or_not() {
    let customer = customer();
    for (fault, received) in [
        (AfricasTalkingFault::Hang, 0),
        (AfricasTalkingFault::AcceptedHang, 1),
    ] {
        let stand_in = stand_in_for(&customer).await;
        stand_in.fault(fault, Scope::UntilCleared).await;
        let met = |stand_in: &AfricasTalkingStandIn| {
            stand_in
                .requests()
                .iter()
                .any(|request| request.fault == Some(fault))
        };
        tokio::select! {
            answer = send(&stand_in, PHONE, "hello").send() => panic!("{answer:?}"),
            () = async {
                stand_in.until(met).await;
                stand_in.until(|stand_in| stand_in.callbacks().len() == 2 * received).await;
            } => {}
        }
        assert_eq!(stand_in.phone(PHONE).len(), received);
        assert_eq!(stand_in.requests()[0].status, None);
    }
}

#[tokio::test]
async fn a_close_gives_no_answer_whether_it_accepted_or_not() {
    for (fault, received) in [
        (AfricasTalkingFault::Close, 0),
        (AfricasTalkingFault::AcceptedClose, 1),
    ] {
        let stand_in = stand_in().await;
        stand_in.fault(fault, Scope::UntilCleared).await;
        let error = send(&stand_in, PHONE, "hello").send().await.unwrap_err();
        assert!(!error.is_connect() && !error.is_timeout(), "{error:?}");
        assert_eq!(stand_in.phone(PHONE).len(), received);
    }
}

#[tokio::test]
async fn down_refuses_connections_until_it_is_cleared() {
    let stand_in = stand_in().await;
    stand_in
        .fault(AfricasTalkingFault::Down, Scope::UntilCleared)
        .await;
    assert!(
        send(&stand_in, PHONE, "hello")
            .send()
            .await
            .unwrap_err()
            .is_connect()
    );
    assert!(stand_in.requests().is_empty());
    stand_in.clear_fault(AfricasTalkingFault::Down).await;
    data(send(&stand_in, PHONE, "hello")).await;
}

#[tokio::test]
async fn a_fault_lasts_for_so_many_requests_or_concerns_one_number() {
    let stand_in = stand_in().await;
    stand_in
        .fault(AfricasTalkingFault::Http500, Scope::Next(2))
        .await;
    for expected in [500, 500, 201] {
        assert_eq!(answer(send(&stand_in, PHONE, "hello")).await.0, expected);
    }
    assert!(stand_in.active_faults().is_empty());
    stand_in
        .fault(
            AfricasTalkingFault::UserInBlacklist,
            Scope::Matching(OTHER.to_owned()),
        )
        .await;
    let data = data(send(&stand_in, &format!("{PHONE},{OTHER}"), "hello")).await;
    assert_eq!(data["Recipients"][0]["statusCode"], 102);
    assert_eq!(data["Recipients"][1]["statusCode"], 406);
    stand_in
        .fault(
            AfricasTalkingFault::Http503,
            Scope::Matching(OTHER.to_owned()),
        )
        .await;
    assert_eq!(answer(send(&stand_in, PHONE, "hello")).await.0, 201);
    assert_eq!(answer(send(&stand_in, OTHER, "hello")).await.0, 503);
}

#[test]
fn every_fault_has_a_name_of_its_own_and_a_sentence() {
    use crate::faults::Named as _;
    let mut names: Vec<&str> = AfricasTalkingFault::ALL
        .iter()
        .map(|fault| fault.name())
        .collect();
    for fault in AfricasTalkingFault::ALL {
        assert_eq!(serde_json::to_value(fault).unwrap(), fault.name());
        assert!(fault.description().ends_with('.'), "{}", fault.name());
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), AfricasTalkingFault::ALL.len());
}
