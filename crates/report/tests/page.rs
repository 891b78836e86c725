//! Pages of plans for the simulated cloud.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use causeway_core::{
    Engine, Secret, Stack,
    engine::{Planned, Run},
    graph::Graph,
    guard::guard,
    plan::PlanOptions,
    testing::{
        crash::{Sim, all_rules},
        sim::{Database, Fault, Network, SimPlace, Subnet, Verb, When},
    },
    value::Name,
};
use causeway_report::Page;
use std::{collections::BTreeSet, time::Duration};

const HOSTILE: &str = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(2)>&]]>";
const CANARY: &str = "canary-5f1c9a";

fn stack(cidr: &str, version: u32) -> Stack {
    let mut stack = Stack::new("shop");
    stack.at(&SimPlace { region: "sim-1".into() }, |stack| {
        let network = Network { cidr: cidr.into(), dns: None, tags: Default::default() };
        let network = stack.add("network", network).network_id.clone();
        let subnet = Subnet { network, cidr: "10.0.1.0/24".into(), public: None };
        let subnet = stack.add("subnet", subnet).subnet_id.clone();
        let database = Database {
            name: Name::from("shop"),
            engine: "postgres".into(),
            version,
            size: 20,
            backup_days: None,
            password: Some(Secret::new(CANARY)),
            subnets: [subnet].into_iter().collect(),
            tags: Default::default(),
        };
        stack.add("database", database);
    });
    stack
}

async fn planned(engine: &Engine, stack: &Stack) -> Planned {
    engine.plan(stack, &PlanOptions::default()).await.unwrap()
}

fn page(engine: &Engine, planned: &Planned, run: Option<causeway_report::Run<'_>>) -> String {
    let estimate = engine.estimate(planned);
    let graph = Graph::of(planned.stack(), Some(&planned.plan)).with_critical_path(&estimate);
    let refusals = guard(&planned.plan, &Default::default());
    let (plan, at) = (&planned.plan, jiff::Timestamp::UNIX_EPOCH);
    let (place, made_by) = ("AWS account 1", "test");
    Page { place, made_by, at, plan, estimate: &estimate, refusals: &refusals, graph: &graph, run }.html()
}

/// Every tag that is opened, by name.
fn tags(page: &str) -> Vec<&str> {
    let starts = page.split('<').skip(1).filter(|t| t.starts_with(|c: char| c.is_ascii_alphabetic()));
    starts.map(|t| &t[..t.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(t.len())]).collect()
}

#[tokio::test(start_paused = true)]
async fn no_text_gets_out_of_its_place() {
    let sim = Sim::new(1);
    sim.run(&stack("10.0.0.0/16", 14), &PlanOptions::default()).await.unwrap();
    let engine = sim.engine();
    let mut planned = planned(&engine, &stack(HOSTILE, 15)).await;
    for step in &mut planned.plan.steps {
        (step.kind, step.place, step.why) = (HOSTILE.into(), HOSTILE.into(), Some(HOSTILE.into()));
        step.instance = Some(HOSTILE.into());
        step.diff.changes.iter_mut().for_each(|c| c.path = HOSTILE.into());
    }
    planned.plan.stack = HOSTILE.into();
    let estimate = engine.estimate(&planned);
    let mut renamed = planned.plan.clone();
    renamed.steps[0].address = HOSTILE.into();
    let graph = Graph::of(&Stack::new("shop"), Some(&renamed));
    let page = Page {
        place: HOSTILE,
        made_by: HOSTILE,
        at: jiff::Timestamp::UNIX_EPOCH,
        plan: &renamed,
        estimate: &estimate,
        refusals: &guard(&renamed, &Default::default()),
        graph: &graph,
        run: None,
    };
    let page = page.html();
    assert!(page.contains("onerror=alert(2)"), "the names are in the page");
    let tags = tags(&page);
    assert_eq!(tags.iter().filter(|t| **t == "script").count(), 1);
    assert!(!tags.contains(&"img"));
    assert!(!page.contains("\"'>"));
}

#[tokio::test(start_paused = true)]
async fn a_page_stands_alone_and_lets_only_its_own_script_run() {
    let sim = Sim::new(1);
    let engine = sim.engine();
    let page = page(&engine, &planned(&engine, &stack("10.0.0.0/16", 14)).await, None);
    for outside in [" src=", "@import", "url(", "<link", "http-equiv=\"refresh\"", "https://"] {
        assert!(!page.contains(outside), "{outside}");
    }
    // The name of the language of drawings is no address.
    assert_eq!(page.matches("http://").count(), page.matches("http://www.w3.org/2000/svg").count());
    assert!(page.contains("default-src 'none'") || page.contains("default-src &#39;none"));
    assert!(page.contains("sha256-"));
    assert!(!page.contains("onclick") && !page.contains("javascript:"));
    assert!(page.contains("id=\"step-0\"") && page.contains("href=\"#step-0\""));
    let ids: Vec<&str> = page.split(" id=\"").skip(1).map(|t| t.split('"').next().unwrap()).collect();
    assert_eq!(ids.len(), ids.iter().collect::<BTreeSet<_>>().len(), "{ids:?}");
}

#[tokio::test(start_paused = true)]
async fn no_secret_is_in_a_page_and_what_came_of_it_is() {
    let sim = Sim::new(1);
    sim.cloud.fault(Some("sim.database"), Verb::Create, When::Always, Fault::Refused);
    let engine = sim.engine();
    let wanted = stack("10.0.0.0/16", 14);
    let (before, copy) = (planned(&engine, &wanted).await, planned(&engine, &wanted).await);
    let run = Run { rules: all_rules(&before.plan), ..Run::default() };
    let report = engine.apply(before, &run).await.unwrap();
    let timeline = engine.last_run().await.unwrap();
    let took = Duration::from_secs(95);
    let came = causeway_report::Run { report: &report, took, timeline: timeline.as_ref() };
    let page = page(&engine, &copy, Some(came));
    assert!(!page.contains(CANARY));
    assert!(page.contains("(secret)"));
    assert!(page.contains("Not finished") && page.contains("1m 35s"));
    assert!(page.contains("As it was</h3>") && page.contains("failed after"));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_taken_back_and_what_is_refused_is_told() {
    let sim = Sim::new(1);
    sim.run(&stack("10.0.0.0/16", 14), &PlanOptions::default()).await.unwrap();
    let engine = sim.engine();
    let gone = page(&engine, &planned(&engine, &Stack::new("shop")).await, None);
    assert!(gone.contains("class=\"badge irreversible\""));
    assert!(gone.contains("This would be refused.") && gone.contains("class=\"rule\">data<"));
    let same = page(&engine, &planned(&engine, &stack("10.0.0.0/16", 14)).await, None);
    assert!(same.contains("Nothing to do") && same.contains("Nothing speaks against it."));
}
