use super::*;

#[tokio::test]
async fn the_controls_can_be_typed() {
    let customer = customer();
    let stand_in = stand_in_for(&customer).await;
    let call = async |method: &str, path: &str, body: &str| {
        let url = format!("{}/_sandbox{path}", stand_in.url());
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        answer(client().request(method, url).body(body.to_owned())).await
    };
    assert_eq!(call("GET", "", "").await.0, 200);
    let (status, sent) = call("POST", "/phones/+254700000001/send", "Habari yako").await;
    assert_eq!(status, 200);
    assert!(sent.contains("\"status\": 200"), "{sent}");
    assert!(
        customer
            .seen
            .read(|seen| seen[0].1.contains("from=%2B254700000001&"))
    );
    stand_in.set_opt_outs_callback(format!("{}/incoming?key=k", customer.url));
    let (_, opted_out) = call("POST", "/phones/+254700000009/opt-out", "").await;
    assert!(opted_out.contains("\"status\": 200"), "{opted_out}");
    let told = customer.seen.read(|seen| seen.last().unwrap().1.clone());
    assert_eq!(told, "senderId=20880&phoneNumber=%2B254700000009");
    let refused = answer(send(&stand_in, "+254700000009", "hello")).await.1;
    assert!(refused.contains("UserInBlacklist"), "{refused}");
    data(send(&stand_in, PHONE, "mzuri")).await;
    stand_in
        .until(|stand_in| stand_in.callbacks().len() == 3)
        .await;
    for path in ["/phones/+254700000001", "/phones/%2B254700000001"] {
        assert!(
            call("GET", path, "")
                .await
                .1
                .contains("\"text\": \"mzuri\"")
        );
    }
    assert!(call("GET", "/phones", "").await.1.contains(PHONE));
    for path in ["/accepted", "/requests", "/callbacks"] {
        assert!(call("GET", path, "").await.1.contains(PHONE), "{path}");
    }
    let id = stand_in.phone(PHONE)[0].id.clone();
    let (_, posted) = call("POST", &format!("/reports/{id}?status=Expired"), "").await;
    assert!(posted.contains("Expired"), "{posted}");

    assert_eq!(call("POST", "/faults/http-503?next=1", "").await.0, 200);
    assert_eq!(answer(send(&stand_in, PHONE, "hello")).await.0, 503);
    for query in ["+254700000002", "%2B254700000002"] {
        call("POST", &format!("/faults/http-500?matching={query}"), "").await;
        assert_eq!(
            stand_in.active_faults()[0].scope,
            Scope::Matching(OTHER.to_owned())
        );
        call("DELETE", "/faults/http-500", "").await;
        assert!(stand_in.active_faults().is_empty());
    }
    call("POST", "/faults/reports-late", "").await;
    data(send(&stand_in, PHONE, "later")).await;
    assert!(
        call("GET", "/faults", "")
            .await
            .1
            .contains("\"until-cleared\"")
    );
    assert!(
        call("POST", "/reports/release", "")
            .await
            .1
            .contains("\"released\": 2")
    );
    call("DELETE", "/faults", "").await;
    assert!(stand_in.active_faults().is_empty());
    assert_eq!(call("POST", "/faults/no-such-fault", "").await.0, 404);
    assert_eq!(call("POST", "/faults/hang?next=0", "").await.0, 400);

    let other = format!("/callbacks?incoming={}/elsewhere", customer.url);
    assert_eq!(call("POST", &other, "").await.0, 200);
    stand_in.sms_from_phone(PHONE, "hello").await.unwrap();
    assert_eq!(
        customer.seen.read(|seen| seen.last().unwrap().0.clone()),
        "/elsewhere"
    );

    assert_eq!(call("POST", "/faults/down", "").await.0, 200);
    assert!(
        send(&stand_in, PHONE, "hello")
            .send()
            .await
            .unwrap_err()
            .is_connect()
    );
    let clear = client().delete(format!("{}/_sandbox/faults", stand_in.control_url()));
    assert_eq!(answer(clear).await.0, 200);
    data(send(&stand_in, PHONE, "hello")).await;
}
