//! `open-port`: a rule that lets the whole internet in, on a port that is not in [`Rules::public_ports`].

use crate::ec2::{Direction, Peer, SecurityGroupRule};
use causeway_core::{guard::Rules, lint::Breach, wanted::Wanted};

pub(super) fn judge(wanted: &[Wanted], rules: &Rules) -> Vec<Breach> {
    let opens = |w: &Wanted| {
        let rule = w.spec::<SecurityGroupRule>()?;
        let open = rule.direction == Direction::Ingress && everybody(&rule.peer);
        let ports = ports(&rule);
        let let_in = |(from, to): (u16, u16)| (from..=to).all(|port| rules.public_ports.contains(&port));
        if !open || ports.is_some_and(let_in) {
            return None;
        }
        let which = match ports {
            Some((from, to)) if from == to => format!("port {from}"),
            Some((from, to)) => format!("ports {from}-{to}"),
            None => "every port".to_owned(),
        };
        let why = format!("would open {which} to the whole internet");
        Some(Breach::of(w, "peer", why, "narrow the range, or add the port to `public_ports` in [guard]"))
    };
    wanted.iter().filter_map(opens).collect()
}

fn everybody(peer: &Peer) -> bool {
    match peer {
        Peer::CidrIpv4(range) | Peer::CidrIpv6(range) => {
            range.get().is_ok_and(|range| range.as_str().ends_with("/0"))
        }
        Peer::ReferencedSecurityGroup(_) | Peer::PrefixListId(_) => false,
    }
}

/// The ports, where the protocol has some and they are named.
fn ports(rule: &SecurityGroupRule) -> Option<(u16, u16)> {
    if !matches!(rule.ip_protocol.as_str(), "tcp" | "udp") {
        return None;
    }
    Some((u16::try_from(rule.from_port?).ok()?, u16::try_from(rule.to_port?).ok()?))
}

#[cfg(test)]
mod tests {
    use crate::{
        Region,
        ec2::{Peer, SecurityGroupRule},
        id::SecurityGroupId,
        lint::testing::found_in,
    };
    use causeway_core::{Stack, Value, guard::Rules};

    fn opened(rule: impl FnOnce(&Value<SecurityGroupId>) -> SecurityGroupRule) -> Option<String> {
        let mut stack = Stack::new("test");
        let group = Value::Known(SecurityGroupId::from("sg-1"));
        stack.at(&Region::new("us-east-2"), |stack| drop(stack.add("rule", rule(&group))));
        let rules = Rules { public_ports: [80, 443].into(), ..Rules::default() };
        found_in("open-port", &stack, &rules).pop().map(|(_, _, why)| why)
    }

    #[test]
    fn only_ports_that_are_meant_for_everybody_are_open_to_everybody() {
        let tcp = |port| move |g: &Value<_>| SecurityGroupRule::tcp_in(g, port, Peer::anywhere());
        assert_eq!(opened(tcp(443)), None);
        assert_eq!(opened(tcp(22)).unwrap(), "would open port 22 to the whole internet");
        let range = opened(|g| SecurityGroupRule { to_port: Some(90), ..tcp(80)(g) });
        assert_eq!(range.unwrap(), "would open ports 80-90 to the whole internet");
        let all = opened(|g| SecurityGroupRule::all_in(g, Peer::cidr("::/0")));
        assert_eq!(all.unwrap(), "would open every port to the whole internet");
        assert_eq!(opened(|g| SecurityGroupRule::all_out(g, Peer::anywhere())), None);
        assert_eq!(opened(|g| SecurityGroupRule::tcp_in(g, 22, Peer::cidr("10.0.0.0/8"))), None);
        assert_eq!(opened(|g| SecurityGroupRule::all_in(g, Peer::group(g))), None);
    }
}
