//! What control planes cost, for the book.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use super::{Cluster, sandbox};

/// The controllers still start when the first answer comes.
const SETTLED: Duration = Duration::from_secs(10);

/// The memory of each program of control planes, in MB, and how many processes of it there are.
fn memory() -> BTreeMap<String, (u64, u64)> {
    let run = format!("CAUSEWAY_RUN={}", sandbox().run_dir().display());
    let mut found: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let read = |name: &str| fs::read_to_string(entry.path().join(name)).unwrap_or_default();
        if !read("environ").split('\0').any(|one| one == run) {
            continue;
        }
        let name = read("comm").trim().to_owned();
        if !name.starts_with("kube-") && !matches!(name.as_str(), "etcd" | "kwok") {
            continue;
        }
        let resident = read("status").lines().find_map(|line| line.strip_prefix("VmRSS:").map(str::to_owned));
        let kilobytes: u64 =
            resident.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0);
        let sum = found.entry(name).or_default();
        *sum = (sum.0 + kilobytes / 1000, sum.1 + 1);
    }
    found
}

#[tokio::test]
#[ignore = "prints figures, which mean something on an idle machine only"]
async fn time_and_memory_of_one_control_plane_and_of_three() {
    let clusters: Vec<Cluster> = ["000000000511", "000000000512", "000000000513"]
        .map(|account| Cluster::make(account, "AmazonEKSClusterAdminPolicy"))
        .into();
    let start = Instant::now();
    clusters[0].get("/version").await;
    let time = start.elapsed();
    tokio::time::sleep(SETTLED).await;
    println!("one: {time:?}, {:?}", memory());
    let start = Instant::now();
    futures::future::join_all(clusters[1..].iter().map(|cluster| cluster.get("/version"))).await;
    let time = start.elapsed();
    tokio::time::sleep(SETTLED).await;
    println!("two more: {time:?}, {:?}", memory());
}
