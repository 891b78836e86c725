//! The drawing of a graph as SVG: no script, nothing from elsewhere, legible in light and in dark.

use super::{
    Graph, Node,
    layout::{Arrow, Rect, layout},
};
use crate::{plan::Action, render, value::Address};
use std::{collections::BTreeMap, fmt::Write};

/// The widest that a resource is drawn; longer names are cut, and stand in full in its tooltip.
const WIDEST: f64 = 216.0;
const NARROWEST: f64 = 96.0;
/// About the width of a character of a name, and of a kind.
const NAME: f64 = 7.2;
const KIND: f64 = 5.6;
const MARGIN: f64 = 20.0;
const LEGEND: f64 = 30.0;

const STYLE: &str = "\
.cw-graph{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;\
--ink:#1f2430;--soft:#5b6472;--paper:#ffffff;--band:#f5f6f8;--rim:#d5d9e0;--way:#a3abb8;--hot:#c2410c;\
--keep:#eceff3;--create:#cdeccf;--update:#ffe9a8;--replace:#ffd0a1;--delete:#f8c1bc;--wait:#cfe3fa}\
@media(prefers-color-scheme:dark){.cw-graph{\
--ink:#eceff4;--soft:#a7b0be;--paper:#14171d;--band:#1c2028;--rim:#3a414d;--way:#667085;--hot:#fb923c;\
--keep:#2a303a;--create:#1f4d2b;--update:#5c4a12;--replace:#6b3d12;--delete:#6a2623;--wait:#1d3f66}}\
.cw-graph .back{fill:var(--paper)}\
.cw-graph .band rect{fill:var(--band);stroke:var(--rim)}\
.cw-graph .band text{fill:var(--soft);font-size:12px;font-weight:600}\
.cw-graph .way{fill:none;stroke:var(--way);stroke-width:1.2}\
.cw-graph .way.hot{stroke:var(--hot);stroke-width:2.2}\
.cw-graph .tip{fill:var(--way)}\
.cw-graph .tip.hot{fill:var(--hot)}\
.cw-graph .node rect{stroke:var(--rim);stroke-width:1}\
.cw-graph .node.hot rect{stroke:var(--hot);stroke-width:2.2}\
.cw-graph .name{fill:var(--ink);font-size:12.5px;font-weight:600}\
.cw-graph .kind{fill:var(--soft);font-size:10px}\
.cw-graph .keep rect{fill:var(--keep)}.cw-graph .create rect{fill:var(--create)}\
.cw-graph .update rect{fill:var(--update)}.cw-graph .replace rect{fill:var(--replace)}\
.cw-graph .delete rect{fill:var(--delete)}.cw-graph .wait rect{fill:var(--wait)}\
.cw-graph a:hover rect,.cw-graph a:focus rect{stroke:var(--ink);stroke-width:2}";

/// Draws `graph`; a resource with a `link` leads there.
pub(super) fn svg(graph: &Graph, link: &dyn Fn(&Address) -> Option<String>) -> String {
    let widths: BTreeMap<Address, f64> = graph.nodes.iter().map(|(a, n)| (a.clone(), width(a, n))).collect();
    let layout = layout(&widths, &graph.needs());
    let used = legend(graph);
    let (width, height) = (layout.width.max(360.0), layout.height + LEGEND);
    let mut out = String::new();
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"cw-graph\" role=\"group\" aria-label=\"Graph of {} \
         resources\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\">\n\
         <style>{STYLE}</style>\n<rect class=\"back\" width=\"100%\" height=\"100%\"/>\n",
        graph.nodes.len()
    );
    for (scope, rect) in &layout.bands {
        let Rect { x, y, width, height } = rect;
        let _ = writeln!(
            out,
            "<g class=\"band\"><rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" \
             rx=\"10\"/><text x=\"{:.1}\" y=\"{:.1}\">{}</text></g>",
            x + 12.0,
            y + 17.0,
            escaped(scope)
        );
    }
    // The hot ones last, above the others.
    let hot = |a: &Arrow| graph.critical.contains(&a.from) && graph.critical.contains(&a.to);
    let (above, below): (Vec<&Arrow>, Vec<&Arrow>) = layout.arrows.iter().partition(|a| hot(a));
    for (arrows, class) in [(below, ""), (above, " hot")] {
        for arrow in arrows {
            way(&mut out, arrow, class);
        }
    }
    for (address, rect) in &layout.boxes {
        if let Some(node) = graph.nodes.get(address) {
            let hot = graph.critical.contains(address);
            self::node(&mut out, address, node, rect, hot, link(address).as_deref());
        }
    }
    let mut x = 28.0;
    for (class, label) in used {
        let y = layout.height + 4.0;
        let _ = writeln!(
            out,
            "<g class=\"node {class}\"><rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"16\" height=\"14\" rx=\"3\"/>\
             <text class=\"kind\" x=\"{:.1}\" y=\"{:.1}\">{label}</text></g>",
            x + 21.0,
            y + 11.0
        );
        x += 40.0 + label.len() as f64 * 6.0;
    }
    out.push_str("</svg>\n");
    out
}

fn way(out: &mut String, arrow: &Arrow, class: &str) {
    let Some(((x, y), rest)) = arrow.points.split_first() else { return };
    let _ = write!(out, "<path class=\"way{class}\" d=\"M{x:.1} {y:.1}");
    let (mut before, mut straight) = ((*x, *y), false);
    for (x, y) in rest {
        if straight {
            let _ = write!(out, "L{x:.1} {y:.1}");
        } else {
            let middle = (before.0 + x) / 2.0;
            let _ = write!(out, "C{middle:.1} {:.1} {middle:.1} {y:.1} {x:.1} {y:.1}", before.1);
        }
        (before, straight) = ((*x, *y), !straight);
    }
    let (x, y) = before;
    let _ = writeln!(
        out,
        "\" data-from=\"{}\" data-to=\"{}\"/><path class=\"tip{class}\" d=\"M{x:.1} {y:.1}l-7 -3.5v7z\"/>",
        escaped(&arrow.from.0),
        escaped(&arrow.to.0)
    );
}

fn node(out: &mut String, address: &Address, node: &Node, rect: &Rect, hot: bool, link: Option<&str>) {
    let Rect { x, y, width, height } = rect;
    let deed = match node.action {
        Action::Keep => "stays".to_owned(),
        action => format!("to be {}", render::deed(action)),
    };
    if let Some(link) = link {
        let _ = write!(out, "<a href=\"{}\">", escaped(link));
    }
    let _ = write!(
        out,
        "<g class=\"node {}{}\" data-address=\"{}\"><title>{}\n{}\n{deed}</title>\
         <rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"6\"/>\
         <text class=\"name\" x=\"{tx:.1}\" y=\"{:.1}\">{}</text>\
         <text class=\"kind\" x=\"{tx:.1}\" y=\"{:.1}\">{}</text></g>",
        class(node.action),
        if hot { " hot" } else { "" },
        escaped(&address.0),
        escaped(&address.0),
        escaped(&node.kind),
        y + 16.0,
        escaped(&cut(&super::labelled(address, node), (width - MARGIN) / NAME)),
        y + 30.0,
        escaped(&cut(&node.kind, (width - MARGIN) / KIND)),
        tx = x + MARGIN / 2.0,
    );
    out.push_str(if link.is_some() { "</a>\n" } else { "\n" });
}

fn width(address: &Address, node: &Node) -> f64 {
    let name = super::labelled(address, node).chars().count() as f64 * NAME;
    let kind = node.kind.chars().count() as f64 * KIND;
    (name.max(kind) + MARGIN).clamp(NARROWEST, WIDEST)
}

fn cut(text: &str, room: f64) -> String {
    let room = room.round().max(1.0) as usize;
    if text.chars().count() <= room {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(room.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// The colours that are used, with their names.
fn legend(graph: &Graph) -> Vec<(&'static str, &'static str)> {
    let all = [
        ("create", "created or adopted"),
        ("update", "changed"),
        ("replace", "replaced"),
        ("delete", "deleted or forgotten"),
        ("wait", "waited for"),
        ("keep", "stays"),
    ];
    let used = |class: &str| graph.nodes.values().any(|n| self::class(n.action) == class);
    all.into_iter().filter(|(class, _)| used(class)).collect()
}

fn class(action: Action) -> &'static str {
    match action {
        Action::Keep | Action::Record => "keep",
        Action::Create | Action::Adopt => "create",
        Action::Update => "update",
        Action::ReplaceCreateFirst | Action::ReplaceDeleteFirst => "replace",
        Action::Delete | Action::Forget => "delete",
        Action::Wait => "wait",
    }
}

/// Text in XML, also in the quotes of an attribute.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // XML has no place for the others, not even escaped.
            c if c.is_control() && !matches!(c, '\n' | '\t') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn graph() -> Graph {
        let node = |kind: &str, action| Node { kind: kind.into(), action };
        let (vpc, odd) = (Address::from("network/vpc"), Address::from("</title><script>\"'&"));
        Graph {
            nodes: BTreeMap::from([
                (vpc.clone(), node("aws.ec2.vpc", Action::Create)),
                (odd.clone(), node("]]>", Action::Delete)),
            ]),
            edges: BTreeSet::from([(odd, vpc)]),
            ..Graph::default()
        }
    }

    #[test]
    fn no_name_gets_out_of_its_place() {
        let svg = svg(&graph(), &|a| Some(format!("#{a}")));
        assert!(!svg.contains("<script") && !svg.contains("]]>"), "{svg}");
        assert!(svg.contains("data-address=\"&lt;/title&gt;&lt;script&gt;&quot;&#39;&amp;\""), "{svg}");
        assert!(svg.contains("<a href=\"#&lt;/title"), "{svg}");
        assert_eq!(svg.matches("<g ").count(), svg.matches("</g>").count());
        assert_eq!(svg.matches("<a ").count(), svg.matches("</a>").count());
    }

    #[test]
    fn it_is_drawn_with_colours_and_a_legend_of_what_is_there() {
        let mut graph = graph();
        graph.critical.extend(graph.nodes.keys().cloned().collect::<Vec<_>>());
        let svg = svg(&graph, &|_| None);
        assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""));
        assert!(svg.contains("<g class=\"node create hot\" data-address=\"network/vpc\">"), "{svg}");
        assert!(svg.contains(">+ vpc</text>") && svg.contains(">network</text>"));
        assert!(svg.contains("created or adopted</text>") && !svg.contains("waited for</text>"));
        assert!(svg.contains("class=\"way hot\"") && !svg.contains("href"));
    }
}
