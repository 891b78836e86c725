//! The graph of a stack, drawn or as text that other programs draw: what waits for what, and what a plan does to it.

mod layout;
mod svg;

use crate::{
    estimate::Estimate,
    plan::{Action, Plan},
    render,
    stack::Stack,
    value::Address,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

/// Resources and what each waits for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    nodes: BTreeMap<Address, Node>,
    edges: BTreeSet<(Address, Address)>,
    /// What the end of the run waits for.
    critical: BTreeSet<Address>,
}

#[derive(Clone, Debug, PartialEq)]
struct Node {
    kind: String,
    action: Action,
}

impl Graph {
    /// The wanted resources, and with a `plan` those that it removes, each with what is done to it.
    pub fn of(stack: &Stack, plan: Option<&Plan>) -> Self {
        let mut graph = Graph::default();
        for (address, node) in stack.nodes() {
            let action = plan.and_then(|p| p.step(address)).map_or(Action::Keep, |s| s.action);
            graph.nodes.insert(address.clone(), Node { kind: node.kind.to_owned(), action });
            graph.edges.extend(node.after.iter().map(|needed| (address.clone(), needed.clone())));
        }
        for step in plan.iter().flat_map(|p| &p.steps) {
            let node = || Node { kind: step.kind.clone(), action: step.action };
            graph.nodes.entry(step.address.clone()).or_insert_with(node);
        }
        graph
    }

    /// Marks the critical path of `estimate`, which the drawing shows.
    pub fn with_critical_path(mut self, estimate: &Estimate) -> Self {
        self.critical = estimate.critical_path().map(|s| s.address.clone()).collect();
        self
    }

    /// Drawn, as SVG that stands alone and can stand in HTML: what is made first is at the left, and an arrow leads from
    /// a resource to what waits for it. Arrows that follow from others are left out. A resource with a `link` leads
    /// there.
    pub fn svg(&self, link: &dyn Fn(&Address) -> Option<String>) -> String {
        svg::svg(self, link)
    }

    /// What each waits for, as far as it is drawn.
    fn needs(&self) -> BTreeMap<Address, BTreeSet<Address>> {
        let mut out: BTreeMap<Address, BTreeSet<Address>> =
            self.nodes.keys().map(|a| (a.clone(), BTreeSet::new())).collect();
        for (from, to) in self.edges.iter().filter(|(_, to)| self.nodes.contains_key(to)) {
            out.entry(from.clone()).or_default().insert(to.clone());
        }
        out
    }

    /// For Graphviz. An arrow leads from a resource to what it waits for.
    pub fn dot(&self) -> String {
        let mut out =
            String::from("digraph {\n    rankdir=RL\n    node [shape=box, style=\"rounded,filled\"]\n");
        for (i, (scope, members)) in self.scopes().into_iter().enumerate() {
            let indent = if scope.is_empty() { "    " } else { "        " };
            if !scope.is_empty() {
                let _ = writeln!(out, "    subgraph cluster_{i} {{\n        label={}", quoted(scope));
            }
            for (address, node) in members {
                let label = format!("{}\n{}", labelled(address, node), node.kind);
                let (id, label, fill) = (quoted(&address.0), quoted(&label), colour(node.action));
                let _ = writeln!(out, "{indent}{id} [label={label}, fillcolor=\"{fill}\"]");
            }
            if !scope.is_empty() {
                out.push_str("    }\n");
            }
        }
        for (from, to) in &self.edges {
            let _ = writeln!(out, "    {} -> {}", quoted(&from.0), quoted(&to.0));
        }
        out.push_str("}\n");
        out
    }

    /// For Mermaid, which code hosts draw in Markdown. An arrow leads from a resource to what it waits for.
    pub fn mermaid(&self) -> String {
        // Mermaid takes hardly anything as an id, so they are numbered.
        let ids: BTreeMap<&Address, String> =
            self.nodes.keys().enumerate().map(|(i, a)| (a, format!("n{i}"))).collect();
        let mut out = String::from("flowchart RL\n");
        for (i, (scope, members)) in self.scopes().into_iter().enumerate() {
            let indent = if scope.is_empty() { "    " } else { "        " };
            if !scope.is_empty() {
                let _ = writeln!(out, "    subgraph s{i}[\"{}\"]", entities(scope));
            }
            for (address, node) in members {
                let (text, kind) = (entities(&labelled(address, node)), entities(&node.kind));
                let _ = writeln!(out, "{indent}{}[\"{text}<br/>{kind}\"]", ids[address]);
            }
            if !scope.is_empty() {
                out.push_str("    end\n");
            }
        }
        for (from, to) in &self.edges {
            if let (Some(from), Some(to)) = (ids.get(from), ids.get(to)) {
                let _ = writeln!(out, "    {from} --> {to}");
            }
        }
        for (address, node) in self.nodes.iter().filter(|(_, n)| n.action != Action::Keep) {
            let _ = writeln!(out, "    style {} fill:{}", ids[address], colour(node.action));
        }
        out
    }

    /// The nodes by the scope that they stand in; those at the top first.
    fn scopes(&self) -> BTreeMap<&str, Vec<(&Address, &Node)>> {
        let mut out: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for (address, node) in &self.nodes {
            let scope = address.0.rsplit_once('/').map_or("", |(scope, _)| scope);
            out.entry(scope).or_default().push((address, node));
        }
        out
    }
}

/// The name in its scope, with the sign of what is done to it.
fn labelled(address: &Address, node: &Node) -> String {
    let name = address.0.rsplit('/').next().unwrap_or_default();
    format!("{} {name}", render::sign(node.action)).trim_start().to_owned()
}

/// Light, so that black text can be read on it.
fn colour(action: Action) -> &'static str {
    match action {
        Action::Keep | Action::Record => "#eeeeee",
        Action::Create | Action::Adopt => "#b7e1b0",
        Action::Update => "#ffe49c",
        Action::ReplaceCreateFirst | Action::ReplaceDeleteFirst => "#ffc28a",
        Action::Delete | Action::Forget => "#f4a9a3",
        Action::Wait => "#bcd9f5",
    }
}

/// A string of the DOT language.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

/// Text inside quotes in Mermaid.
fn entities(text: &str) -> String {
    text.replace('#', "#35;").replace('"', "#quot;").replace('<', "#lt;").replace('>', "#gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph() -> Graph {
        let node = |kind: &str, action| Node { kind: kind.into(), action };
        let vpc = Address::from("network/vpc");
        let odd = Address::from("a\"b");
        Graph {
            nodes: BTreeMap::from([
                (vpc.clone(), node("aws.ec2.vpc", Action::Create)),
                (odd.clone(), node("aws.kms.key", Action::Keep)),
            ]),
            edges: BTreeSet::from([(odd, vpc)]),
            ..Graph::default()
        }
    }

    #[test]
    fn dot_has_scopes_colours_and_quotes() {
        let dot = graph().dot();
        assert!(dot.contains("subgraph cluster_1 {\n        label=\"network\"\n"), "{dot}");
        assert!(
            dot.contains("\"network/vpc\" [label=\"+ vpc\\naws.ec2.vpc\", fillcolor=\"#b7e1b0\"]"),
            "{dot}"
        );
        assert!(dot.contains("    \"a\\\"b\" -> \"network/vpc\"\n"), "{dot}");
        assert_eq!(dot.matches('{').count(), dot.matches('}').count());
    }

    #[test]
    fn mermaid_has_ids_that_it_takes() {
        let mermaid = graph().mermaid();
        assert!(mermaid.starts_with("flowchart RL\n"));
        assert!(mermaid.contains("    n0[\"a#quot;b<br/>aws.kms.key\"]\n"), "{mermaid}");
        assert!(
            mermaid
                .contains("    subgraph s1[\"network\"]\n        n1[\"+ vpc<br/>aws.ec2.vpc\"]\n    end\n")
        );
        assert!(mermaid.contains("    n0 --> n1\n    style n1 fill:#b7e1b0\n"), "{mermaid}");
    }
}
