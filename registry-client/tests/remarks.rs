//! What registries say beside their answers: remarks, and how much may still be asked.

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use registry_client::{Client, ClientOptions, Hosts, RegistryError, Remarks};
use support::fake::Fake;
use support::server::{Server, reply};
use support::{image, options, reference};

const GOING: &str = r#"299 - "this repository is going away""#;

#[tokio::test]
async fn a_remark_is_told_once_with_its_host() {
    let one = image(1, 10);
    let (server, fake) = Fake::start(|_| None).await;
    let fake = fake.clone();
    let speaking = Server::start(move |request| {
        fake.handle(request).header("Warning", GOING).header("Warning", r#"199 - "no""#)
    })
    .await;
    drop(server);
    let heard: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = heard.clone();
    let remarks = Remarks::to(move |text| noted.lock().expect("unpoisoned").push(text));
    let client = Client::new(ClientOptions { remarks, ..options() }).expect("a client");
    let name = reference(&format!("{}/a", speaking.address));
    support::push(&client, &name, &one).await;
    client.resolve(&name).await.expect("there");
    client.image_document(&name).await.expect("there");
    let heard = heard.lock().expect("unpoisoned").clone();
    assert_eq!(heard, [format!("{}: this repository is going away", speaking.address)]);
}

#[tokio::test]
async fn a_limit_is_named_with_its_end() {
    let limited = |headers: &'static [(&'static str, &'static str)]| async move {
        let server = Server::start(move |_| {
            headers.iter().fold(reply(429), |reply, (name, value)| reply.header(name, *value))
        })
        .await;
        let name = reference(&format!("{}/a", server.address));
        let error = support::client().resolve(&name).await.expect_err("limited");
        assert_eq!(server.count("HEAD"), 1, "an hour is not waited for");
        error
    };
    let error = limited(&[
        ("RateLimit-Limit", "100;w=21600"),
        ("RateLimit-Remaining", "0;w=21600"),
        ("RateLimit-Reset", "3600"),
    ])
    .await;
    let RegistryError::Throttled(refusal) = &error else { panic!("{error}") };
    let wait = refusal.retry_after.expect("the reset says how long");
    assert!(wait > Duration::from_secs(3500) && wait <= Duration::from_secs(3600), "{wait:?}");
    let text = error.to_string();
    assert!(text.contains("(100 in 6 h are allowed, 0 are left, until ") && text.contains(" GMT)"), "{text}");
    let error = limited(&[("X-RateLimit-Limit", "180"), ("Retry-After", "3600")]).await.to_string();
    assert!(error.ends_with("(180 are allowed, more in 3600 s)"), "{error}");
}

#[tokio::test]
async fn a_mirror_with_a_limit_is_passed_over_at_once() {
    let mirror = Server::start(|_| reply(429).header("Retry-After", "1")).await;
    let (server, _fake) = Fake::start(|_| None).await;
    let (name, one) = (reference(&format!("{}/a", server.address)), image(2, 10));
    support::push(&support::client(), &name, &one).await;
    let text = format!(
        "[[registry]]\nlocation = \"{}\"\n[[registry.mirror]]\nlocation = \"{}\"\n",
        server.address, mirror.address
    );
    let hosts = Hosts::parse("registries.conf".as_ref(), &text).expect("good settings");
    let client = Client::new(ClientOptions { hosts, ..options() }).expect("a client");
    assert_eq!(client.resolve(&name).await.expect("there"), *one.manifest.descriptor());
    assert_eq!(mirror.seen().len(), 1, "{:?}", mirror.seen());
}

#[tokio::test]
async fn how_many_pulls_are_left_is_asked_by_a_head() {
    let some = [("RateLimit-Limit", "100;w=21600"), ("RateLimit-Remaining", "76;w=21600")];
    let whom = [some[0], some[1], ("Docker-RateLimit-Source", "192.0.2.7")];
    for (status, headers, expected) in [
        (200, &some[..], Ok("100 in 6 h are allowed, 76 are left")),
        (200, &whom, Ok("100 in 6 h are allowed, 76 are left; 192.0.2.7")),
        (200, &[], Ok("")),
        (429, &some, Ok("100 in 6 h are allowed, 76 are left")),
        (429, &[("Retry-After", "3600")], Err("again in 3600 s")),
        (404, &[], Err("not found")),
        (403, &some, Err("403")),
    ] {
        let headers: Vec<_> = headers.to_vec();
        let server = Server::start(move |_| {
            headers.iter().fold(reply(status), |reply, (name, value)| reply.header(name, *value))
        })
        .await;
        let name = reference(&format!("{}/a", server.address));
        let found = support::client().pull_allowance(&name).await;
        assert_eq!((server.seen().len(), server.count("HEAD")), (1, 1), "{status}");
        match (found, expected) {
            (Ok(found), Ok(expected)) => {
                assert_eq!(found.host, server.address.to_string());
                let told = found.limit.map(|limit| limit.to_string()).into_iter().chain(found.counted);
                assert_eq!(told.collect::<Vec<_>>().join("; "), expected, "{status}");
            }
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{status}: {error}"),
            (found, _) => panic!("{status}: {found:?}"),
        }
    }
}
