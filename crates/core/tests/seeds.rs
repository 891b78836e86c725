//! What the fuzz targets start from, in `fuzz/seeds`: journals and plans as the engine writes them today.
//! `UPDATE_SEEDS=1` writes them anew.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod web;

use causeway_core::{
    journal::{Stamped, State},
    plan::PlanOptions,
    saved::{Program, SavedPlan},
    testing::crash::Sim,
    value::Name,
};
use serde_json::json;
use std::{fs, path::Path};
use web::{Web, nothing};

fn seed(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(path)
}

/// A stack that is made, changed, left behind by a crash, and half destroyed.
#[tokio::test(start_paused = true)]
async fn what_fuzzing_starts_from_is_what_is_written_today() {
    let update = std::env::var_os("UPDATE_SEEDS").is_some();
    let (sim, usual) = (Sim::new(1), PlanOptions::default());
    sim.cloud.plant("sim.lookup", json!({ "name": "base" }), None);
    let changed =
        Web { cidr: "10.0.0.0/8", role: Name::generated("web"), tag: Some("red"), ..Web::default() };
    let program = Program { version: "1".into(), build: "b".into() };
    for (name, stack, crash) in [
        ("applied", Web::default().stack(), None),
        ("crashed", changed.stack(), Some(60)),
        ("half", nothing(), Some(30)),
    ] {
        let planned = sim.engine().plan(&stack, &usual).await.unwrap();
        let plan = SavedPlan::of(&planned, &usual, &program, "sim").text(None);
        sim.fuse.arm(crash);
        tokio::select! {
            biased;
            () = sim.fuse.gone() => {}
            _ = sim.apply(&stack, &usual) => {}
        }
        sim.fuse.arm(None);
        let lines =
            sim.store.entries().iter().map(|e| serde_json::to_string(e).unwrap() + "\n").collect::<String>();
        let (journal, saved) = (seed(&format!("journal/{name}.jsonl")), seed(&format!("plan/{name}.json")));
        if update {
            fs::write(&journal, &lines).unwrap();
            fs::write(&saved, &plan).unwrap();
        }
        let entries: Vec<Stamped> =
            fs::read_to_string(&journal).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(State::fold(&entries).unwrap().seq, entries.len() as u64);
        let again: String = entries.iter().map(|e| serde_json::to_string(e).unwrap() + "\n").collect();
        assert_eq!(again, fs::read_to_string(&journal).unwrap(), "UPDATE_SEEDS=1 writes {name} anew");
        let (read, _) = SavedPlan::read(&fs::read(&saved).unwrap(), &program).unwrap();
        assert_eq!(
            read.text(None).as_bytes(),
            fs::read(&saved).unwrap(),
            "UPDATE_SEEDS=1 writes {name} anew"
        );
    }
}
