//! Look-ups: images and what zones offer.

use crate::in_sandbox::{REGION, client};
use causeway_aws::{
    Aws,
    ec2::{Image, InstanceTypeOfferings},
};
use causeway_core::{Address, Cx, Resource, Set};

async fn look<R: Resource<Client = Aws>>(aws: &Aws, wanted: &R) -> Result<R::Outputs, String> {
    let address = Address::from("look");
    let cx = Cx { client: aws, address: &address, instance: "", recorded: None };
    match wanted.read(&cx).await {
        Ok(Some(live)) => Ok(live.outputs),
        Ok(None) => Err(wanted.create(&cx).await.unwrap_err().to_string()),
        Err(refused) => Err(refused.to_string()),
    }
}

fn fck_nat(architecture: &str) -> Image {
    Image {
        owner: "568608671756".into(),
        name: "fck-nat-al2023-hvm-*".into(),
        architecture: architecture.into(),
        pin: None,
    }
}

#[tokio::test]
async fn row_023_nat_ami_newest_of_its_owner_for_the_architecture() {
    let aws = client("200000000021").await;
    for architecture in ["arm64", "x86_64"] {
        let newest = look(&aws, &fck_nat(architecture)).await.unwrap();
        assert_eq!(newest.name, format!("fck-nat-al2023-hvm-1.3.0-20240125-{architecture}-ebs"));
        assert_eq!(newest.root_device_name, "/dev/xvda");
        // An older one is taken when it is named, and only by its own architecture.
        let older = Image { name: "fck-nat-al2023-hvm-1.2.1-*".into(), ..fck_nat(architecture) };
        let older = look(&aws, &older).await.unwrap();
        assert!(older.creation_date < newest.creation_date);
        let pinned = Image { pin: Some(older.image_id.clone()), ..fck_nat(architecture) };
        assert_eq!(look(&aws, &pinned).await.unwrap().image_id, older.image_id);
        let other = if architecture == "arm64" { "x86_64" } else { "arm64" };
        let wrong = Image { pin: Some(older.image_id.clone()), ..fck_nat(other) };
        assert!(look(&aws, &wrong).await.unwrap_err().contains("pin another"));
    }
    let none = look(&aws, &Image { name: "fck-nat-al2099-*".into(), ..fck_nat("arm64") }).await.unwrap_err();
    assert!(none.contains(REGION) && none.contains("name one by its id"), "{none}");
}

#[tokio::test]
async fn zones_that_offer_all_types() {
    let aws = client("200000000021").await;
    let offer = |types: &[&str]| InstanceTypeOfferings {
        instance_types: types.iter().copied().collect::<Set<String>>(),
        among: Set::default(),
        no_local_zones: false,
        at_least: 0,
    };
    let one = look(&aws, &offer(&["t4g.micro"])).await.unwrap().zones;
    let both = look(&aws, &offer(&["t4g.micro", "m5.large"])).await.unwrap().zones;
    assert!(one.contains(&"us-east-1a".to_owned()), "{one:?}");
    assert!(both.iter().all(|zone| one.contains(zone)) && !both.is_empty());
    let among = InstanceTypeOfferings { among: Set::from_iter(["us-east-1b"]), ..offer(&["t4g.micro"]) };
    assert_eq!(look(&aws, &among).await.unwrap().zones, ["us-east-1b"]);
    let more = InstanceTypeOfferings { at_least: 2, ..among };
    assert!(look(&aws, &more).await.unwrap_err().contains("2 zones are needed, and 1 of us-east-1 offer"));
    assert!(look(&aws, &offer(&["x99.mega"])).await.unwrap_err().contains("x99.mega"));
}
