//! Repositories through their life in the sandbox.
#![cfg(feature = "ecr")]

use crate::by_hand::One;
use crate::in_sandbox::{REGION, client, registry};
use causeway_aws::{
    AwsStack,
    ecr::Repository,
    id::Arn,
    policy::{PolicyDocument, Principal, Statement},
};
use causeway_core::{Stack, Tags, plan::Action, testing::Lifecycle};
use serde_json::{Value as Json, json};

const ACCOUNT: &str = "000000000536";

fn keep(count: u32) -> Json {
    json!({ "rules": [{
        "rulePriority": 1,
        "description": "keep the last ones",
        "selection": { "tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": count },
        "action": { "type": "expire" }
    }] })
}

fn sample() -> Repository {
    Repository {
        image_tag_mutability: Some("IMMUTABLE".into()),
        scan_on_push: Some(false),
        kms_key: Some(
            Arn::from("arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555").into(),
        ),
        lifecycle_policy: Some(keep(10)),
        tags: Tags::from([("team", "platform"), ("cost", "1")]),
        ..Repository::new("coder/images")
    }
}

fn changes() -> [(&'static str, Repository); 2] {
    let policy =
        PolicyDocument::new([Statement::allow(["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"], [""; 0])
            .to([Principal::aws("210987654321")])]);
    let one = Repository {
        image_tag_mutability: Some("MUTABLE".into()),
        scan_on_push: Some(true),
        lifecycle_policy: Some(keep(20)),
        repository_policy: Some(policy),
        tags: Tags::from([("team", "other")]),
        ..sample()
    };
    let two = Repository { lifecycle_policy: None, repository_policy: None, ..one.clone() };
    [("all of it", one), ("no policies", two)]
}

fn stack(repository: &Repository) -> Stack {
    let mut stack = Stack::new("ecr");
    stack.region(REGION, |stack| stack.add("images", repository.clone()));
    stack
}

#[tokio::test]
async fn repository() {
    let ecr = &client(ACCOUNT).await.ecr;
    let mut life = Lifecycle::start(registry(ACCOUNT).await, stack(&sample())).await;
    life.drift("nothing expires", "images", async {
        let delete = ecr.delete_lifecycle_policy().repository_name("coder/images");
        delete.send().await.expect("the emulator takes it");
    })
    .await;
    for (what, changed) in changes() {
        assert_eq!(life.change(what, stack(&changed)).await, [("images".into(), Action::Update)]);
    }
    life.end().await;
}

#[tokio::test]
async fn many_repositories_are_seen_with_one_call() {
    let client = client(ACCOUNT).await;
    let mut made = vec![];
    for n in 0..3 {
        let spec = Repository::new(format!("many-{n}"));
        let mut one = One::new(&client, "e2");
        one.apply(&spec).await;
        made.push((one, spec));
    }
    let missing = Repository::new("many-none");
    let none = One::new(&client, "e3");
    let (a, b, c, none) = tokio::join!(
        made[0].0.read(&made[0].1),
        made[1].0.read(&made[1].1),
        made[2].0.read(&made[2].1),
        none.read(&missing)
    );
    assert!(a.is_some() && b.is_some() && c.is_some() && none.is_none());
    for (one, spec) in &made {
        one.delete(spec).await;
    }
}

#[tokio::test]
async fn a_tag_has_a_digest_and_a_repository_with_images_is_not_deleted_by_accident() {
    let client = client(ACCOUNT).await;
    let spec = Repository::new("digests");
    let mut one = One::new(&client, "e4");
    one.apply(&spec).await;
    assert_eq!(client.ecr.digest("digests", "v1").await.unwrap(), None);
    assert_eq!(client.ecr.digest("nowhere", "v1").await.unwrap(), None);
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": []
    });
    let pushed = client
        .ecr
        .put_image()
        .repository_name("digests")
        .image_manifest(manifest.to_string())
        .image_manifest_media_type("application/vnd.oci.image.index.v1+json")
        .image_tag("v1")
        .send()
        .await
        .unwrap();
    let digest = pushed.image.and_then(|image| image.image_id?.image_digest);
    assert!(digest.is_some());
    assert_eq!(client.ecr.digest("digests", "v1").await.unwrap(), digest);

    let live = one.read(&spec).await.unwrap();
    assert!(causeway_core::Resource::delete(&spec, &one.cx(), &live).await.is_err());
    one.delete(&Repository { force_delete: Some(true), ..spec }).await;
}

#[tokio::test]
async fn a_login_is_given() {
    let client = client(ACCOUNT).await;
    let login = client.ecr.login().await.unwrap();
    assert_eq!(login.user, "AWS");
    assert!(!login.password.expose().unwrap().is_empty());
    assert!(login.endpoint.starts_with("http"));
}
