//! Who should be primary: decided from what is known of the nodes, without I/O.

/// What is known of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeFacts {
    /// Its port, which also names it.
    pub port: u16,
    /// Whether it answers.
    pub alive: bool,
    /// Its replication offset.
    pub offset: u64,
    /// Whether the last primary counted it as in sync when it was last asked.
    pub in_sync: bool,
}

/// The node to promote when the primary is gone: the one with the highest offset among those
/// that were in sync. A node that was not in sync may lack acknowledged writes, so none of
/// those is ever chosen.
pub fn successor(nodes: &[NodeFacts], dead_primary: u16) -> Option<u16> {
    nodes
        .iter()
        .filter(|node| node.alive && node.in_sync && node.port != dead_primary)
        .max_by_key(|node| (node.offset, std::cmp::Reverse(node.port)))
        .map(|node| node.port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(port: u16, alive: bool, offset: u64, in_sync: bool) -> NodeFacts {
        NodeFacts {
            port,
            alive,
            offset,
            in_sync,
        }
    }

    #[test]
    fn only_a_living_node_that_was_in_sync_succeeds() {
        let mut nodes = vec![
            node(1, true, 900, true),
            node(2, true, 500, true),
            node(3, true, 800, false),
            node(4, false, 950, true),
            node(5, true, 500, true),
        ];
        assert_eq!(successor(&nodes, 1), Some(2));
        nodes[1].alive = false;
        nodes[4].alive = false;
        assert_eq!(successor(&nodes, 1), None, "node 3 may lack writes");
    }
}
