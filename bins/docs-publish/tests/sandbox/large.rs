//! Files of all sizes, and the memory that they take.

use crate::world::World;
use serde_json::json;
use std::{io::Write, time::Duration};

/// Megabytes that a publish may take, of whatever.
const MOST: u64 = 100;

/// The most memory that a process had so far, in megabytes; `None` once it has ended.
fn peak(id: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1024)
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn what_is_large_is_sent_in_parts_and_nothing_is_held_as_a_whole() {
    let world = World::new(80).await;
    world.write_site("one");
    let piece: Vec<u8> = (0..1_048_576_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let large = |name: &str, pieces: u8| {
        world.write(name, "");
        let mut file = std::fs::File::create(world.path(name)).unwrap();
        for n in 0..pieces {
            file.write_all(&[n]).unwrap();
            file.write_all(&piece).unwrap();
        }
    };
    large("film.mp4", 66);
    for n in 0..12 {
        large(&format!("pictures/{n}.png"), 4);
    }
    let mut run = world.spawn(&["publish", "site", "--json"]);
    let id = run.id().unwrap();
    let mut most = 0;
    while run.try_wait().unwrap().is_none() {
        most = peak(id).map_or(most, |now| now.max(most));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let ended = run.wait_with_output().await.unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    assert!((1..MOST).contains(&most), "{most} MB");
    let calls = world.changes();
    assert_eq!((calls["s3:CreateMultipartUpload"], calls["s3:UploadPart"]), (1, 5), "{calls:?}");
    // Read back through the edge when it was verified.
    let done: serde_json::Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(done["result"]["verified"]["wrong"], json!([]));
    assert_eq!(done["result"]["bytes"].as_u64().unwrap() / 1_048_577, 66 + 12 * 4);
    // Copied inside the bucket, parts and all.
    world.write("index.html", "two");
    let next = world.publish().await;
    assert_eq!((&next["uploaded"], &next["verified"]["wrong"]), (&json!(1), &json!([])));
}
