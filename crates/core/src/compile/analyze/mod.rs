//! What the compiler finds out about rules before it builds nodes: which phase each belongs to,
//! in which order they are asked, and which of them nothing can reach.

mod implies;
pub(crate) mod layer;
pub(crate) mod order;
pub(crate) mod shadow;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::compile::Families;
use crate::graph::RuleId;
use crate::rules::{Bind, Rule};
use crate::value::listen_addr::Transport;

use self::layer::Phase;
use self::order::Branch;

/// Listeners that the same rules are reached through.
pub(crate) struct Group<'r> {
    /// The sockets, sorted.
    pub(crate) sockets: Vec<Socket<'r>>,
    /// What raw rules ask, in order.
    pub(crate) raw: Vec<Branch<'r>>,
    /// What HTTP rules ask, in order.
    pub(crate) http: Vec<Branch<'r>>,
    /// Whether any rule asks for TLS.
    pub(crate) terminates_tls: bool,
}

/// One socket of a [`Group`].
#[derive(Clone, Copy)]
pub(crate) struct Socket<'r> {
    pub(crate) transport: Transport,
    pub(crate) address: SocketAddr,
    /// The first place that asks for it.
    pub(crate) bind: &'r Bind,
}

/// The listeners of all rules, grouped by their rules, in the order of their first socket.
/// Suppressed families have none.
pub(crate) fn groups<'r>(rules: &'r [Rule], families: Families) -> Vec<Group<'r>> {
    let mut by_rules: BTreeMap<Vec<RuleId>, Vec<Socket<'r>>> = BTreeMap::new();
    for (socket, members) in sockets(rules, families) {
        by_rules.entry(members).or_default().push(socket);
    }
    let mut groups: Vec<_> =
        by_rules.into_iter().map(|(members, sockets)| group(rules, &members, sockets)).collect();
    groups.sort_by_key(|group| group.sockets.first().map(|first| sort_key(first.bind)));
    groups
}

/// A socket and the rules that are reached through it.
type Member<'r> = (Socket<'r>, Vec<RuleId>);

fn sockets<'r>(rules: &'r [Rule], families: Families) -> Vec<Member<'r>> {
    let mut found: BTreeMap<(&str, SocketAddr), Member<'r>> = BTreeMap::new();
    for (id, rule) in (0..).map(RuleId).zip(rules) {
        for bind in rule.binds.iter().filter(|bind| families.allow(bind.address)) {
            let socket = Socket { transport: bind.transport, address: bind.address, bind };
            let (_, members) = found.entry(sort_key(bind)).or_insert((socket, Vec::new()));
            if members.last() != Some(&id) {
                members.push(id);
            }
        }
    }
    found.into_values().collect()
}

fn sort_key(bind: &Bind) -> (&'static str, SocketAddr) {
    (bind.transport.as_str(), bind.address)
}

fn group<'r>(rules: &'r [Rule], members: &[RuleId], sockets: Vec<Socket<'r>>) -> Group<'r> {
    let (mut raw, mut http) = (Vec::new(), Vec::new());
    for &id in members {
        let rule = &rules[id.0 as usize];
        let phase = Phase::of(rule);
        let into = if phase == Phase::Raw { &mut raw } else { &mut http };
        into.extend(Branch::all(id, rule, phase));
    }
    raw.sort_by_cached_key(Branch::turn);
    http.sort_by_cached_key(Branch::turn);
    let terminates_tls = members.iter().any(|id| rules[id.0 as usize].terminates_tls);
    Group { sockets, raw, http, terminates_tls }
}
