//! Certificates in the sandbox.
#![cfg(feature = "acm")]

use crate::by_hand::One;
use crate::changes::life;
use causeway_aws::acm::{Certificate, CertificateIssued};
use causeway_core::{Cx, Resource, Status, Tags, Value};

const ACCOUNT: &str = "000000003103";

fn certificate() -> Certificate {
    Certificate {
        key_algorithm: Some("RSA_2048".into()),
        tags: Tags::from([("team", "platform"), ("cost", "1")]),
        ..Certificate::with_wildcard("coder.example.com")
    }
}

fn certificate_changes() -> Vec<(Certificate, &'static [&'static str])> {
    vec![(
        Certificate { tags: Tags::from([("team", "other")]), ..certificate() },
        &["tags.cost", "tags.team"],
    )]
}

#[tokio::test]
async fn certificates_live_and_die() {
    let aws = crate::in_sandbox::client(ACCOUNT).await;
    life(One::new(&aws, &format!("{}cert", std::process::id())), certificate(), certificate_changes()).await;
}

#[tokio::test]
async fn a_certificate_whose_answer_was_lost_is_found_again() {
    let aws = crate::in_sandbox::client(ACCOUNT).await;
    let id = format!("{}lost", std::process::id());
    let (made, _) = One::new(&aws, &id).apply(&certificate()).await;
    // Nothing is recorded here, as after a crash in the middle.
    let mut again = One::new(&aws, &id);
    let (found, touched) = again.apply(&certificate()).await;
    assert_eq!(found.outputs.arn, made.outputs.arn);
    assert!(touched.is_empty());
    assert!(One::new(&aws, "another").read(&certificate()).await.is_none());
    again.delete(&certificate()).await;
}

#[tokio::test]
async fn the_wait_ends_when_the_certificate_is_issued() {
    let aws = crate::in_sandbox::client(ACCOUNT).await;
    let mut one = One::new(&aws, &format!("{}wait", std::process::id()));
    let (made, _) = one.apply(&certificate()).await;
    assert_eq!(made.outputs.validation.len(), 1);
    assert_eq!(made.outputs.validation[0].domain, "coder.example.com");
    assert!(!made.outputs.validation[0].name.ends_with('.'));

    let wait = CertificateIssued {
        certificate_arn: Value::Known(made.outputs.arn),
        validated_by: ["x"].into_iter().collect(),
    };
    let address = "wait".into();
    let cx = Cx { client: &aws, address: &address, instance: "", recorded: None };
    let mut statuses = vec![];
    while statuses.last() != Some(&Status::Ready) && statuses.len() < 120 {
        statuses.push(wait.read(&cx).await.unwrap().unwrap().status);
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    assert_eq!(statuses.last(), Some(&Status::Ready), "{statuses:?}");
    let live = wait.read(&cx).await.unwrap().unwrap();
    assert!(live.outputs.not_after.is_some());
    one.delete(&certificate()).await;
    assert!(wait.read(&cx).await.unwrap().is_none());
}
