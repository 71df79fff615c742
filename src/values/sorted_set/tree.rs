//! Members in order: a tree whose inner nodes count what is below them, so that a rank is
//! found as fast as a member.
//!
//! What must stay true: leaves and inner nodes are not empty, but for the root; `count` and
//! `first` of a child are those of its subtree.

use super::member::Member;
use super::order;
use std::cmp::Ordering;

/// The tree; it does not own its members.
#[derive(Debug)]
pub(super) struct Tree {
    root: Node,
}

#[derive(Debug)]
enum Node {
    Leaf(Vec<Member>),
    Inner(Vec<Child>),
}

#[derive(Debug)]
struct Child {
    count: usize,
    first: Member,
    node: Box<Node>,
}

impl Default for Tree {
    fn default() -> Self {
        Tree {
            root: Node::Leaf(Vec::new()),
        }
    }
}

fn compare(a: Member, b: Member) -> Ordering {
    order((a.score(), a.text()), (b.score(), b.text()))
}

impl Node {
    fn count(&self) -> usize {
        match self {
            Node::Leaf(members) => members.len(),
            Node::Inner(children) => children.iter().map(|child| child.count).sum(),
        }
    }

    fn first(&self) -> Option<Member> {
        match self {
            Node::Leaf(members) => members.first().copied(),
            Node::Inner(children) => children.first().map(|child| child.first),
        }
    }

    fn size(&self) -> usize {
        match self {
            Node::Leaf(members) => members.len(),
            Node::Inner(children) => children.len(),
        }
    }

    /// Adds a member; what has to be split off comes back.
    fn insert(&mut self, member: Member) -> Option<Node> {
        match self {
            Node::Leaf(members) => {
                let at = members.partition_point(|m| compare(*m, member) == Ordering::Less);
                if members.len() < LEAF {
                    if members.capacity() == members.len() {
                        let room = (members.len() / 2).max(4).min(LEAF - members.len());
                        members.reserve_exact(room);
                    }
                    members.insert(at, member);
                    return None;
                }
                if at == members.len() {
                    // Growing at the end leaves full leaves behind.
                    return Some(Node::Leaf(vec![member]));
                }
                let mut right = Vec::with_capacity(LEAF * 3 / 4);
                right.extend(members.drain(LEAF / 2..));
                if at <= members.len() {
                    members.insert(at, member);
                } else {
                    right.insert(at - members.len(), member);
                }
                Some(Node::Leaf(right))
            }
            Node::Inner(children) => {
                let at = children.partition_point(|c| compare(c.first, member) == Ordering::Less);
                let at = at.saturating_sub(1);
                let child = &mut children[at];
                let split = child.node.insert(member);
                child.refresh();
                let new = Child::of(split?)?;
                children.insert(at + 1, new);
                if children.len() <= INNER {
                    return None;
                }
                let right = if at + 2 == children.len() {
                    children.split_off(children.len() - 1)
                } else {
                    children.split_off(INNER / 2)
                };
                Some(Node::Inner(right))
            }
        }
    }

    /// Removes a member; whether it was there.
    fn remove(&mut self, member: Member) -> bool {
        match self {
            Node::Leaf(members) => {
                let at = members.partition_point(|m| compare(*m, member) == Ordering::Less);
                if members.get(at) != Some(&member) {
                    return false;
                }
                members.remove(at);
                if members.capacity() > 2 * members.len() + 8 {
                    members.shrink_to(members.len() + 4);
                }
                true
            }
            Node::Inner(children) => {
                let at =
                    children.partition_point(|c| compare(c.first, member) != Ordering::Greater);
                let Some(at) = at.checked_sub(1) else {
                    return false;
                };
                let child = &mut children[at];
                if !child.node.remove(member) {
                    return false;
                }
                if child.node.size() == 0 {
                    children.remove(at);
                    return true;
                }
                child.refresh();
                merge_around(children, at);
                true
            }
        }
    }
}

/// Joins a child that has become small with a neighbour that has room.
fn merge_around(children: &mut Vec<Child>, at: usize) {
    let most = match *children[at].node {
        Node::Leaf(_) => LEAF,
        Node::Inner(_) => INNER,
    };
    if children[at].node.size() >= most / 4 {
        return;
    }
    let left = at.saturating_sub(1);
    if left + 1 >= children.len() {
        return;
    }
    if children[left].node.size() + children[left + 1].node.size() > most * 3 / 4 {
        return;
    }
    let right = children.remove(left + 1);
    let target = &mut children[left];
    match (&mut *target.node, *right.node) {
        (Node::Leaf(a), Node::Leaf(b)) => a.extend(b),
        (Node::Inner(a), Node::Inner(b)) => a.extend(b),
        // All leaves are equally deep.
        _ => debug_assert!(false, "neighbours are of one kind"),
    }
    target.refresh();
}

impl Child {
    fn of(node: Node) -> Option<Child> {
        Some(Child {
            count: node.count(),
            first: node.first()?,
            node: Box::new(node),
        })
    }

    fn refresh(&mut self) {
        self.count = self.node.count();
        if let Some(first) = self.node.first() {
            self.first = first;
        }
    }
}

impl Tree {
    /// Adds a member.
    pub fn insert(&mut self, member: Member) {
        let Some(right) = self.root.insert(member) else {
            return;
        };
        let left = std::mem::replace(&mut self.root, Node::Leaf(Vec::new()));
        let children = [left, right].into_iter().filter_map(Child::of).collect();
        self.root = Node::Inner(children);
    }

    /// Removes a member, whose score must be the one it was added with.
    pub fn remove(&mut self, member: Member) {
        let removed = self.root.remove(member);
        debug_assert!(removed, "the member is in the tree");
        while let Node::Inner(children) = &mut self.root {
            match children.len() {
                0 => self.root = Node::Leaf(Vec::new()),
                1 => match children.pop() {
                    Some(only) => self.root = *only.node,
                    None => return,
                },
                _ => return,
            }
        }
    }

    /// How many members, from the first on, are `before` some bound.
    pub fn count_before(&self, before: impl Fn(Member) -> bool) -> usize {
        let (mut node, mut passed) = (&self.root, 0);
        loop {
            match node {
                Node::Leaf(members) => return passed + members.partition_point(|m| before(*m)),
                Node::Inner(children) => {
                    let at = children.partition_point(|child| before(child.first));
                    let Some(at) = at.checked_sub(1) else {
                        return passed;
                    };
                    passed += children[..at].iter().map(|c| c.count).sum::<usize>();
                    node = &children[at].node;
                }
            }
        }
    }

    /// The leaf with the member of this rank, and its place there.
    fn leaf(&self, rank: usize) -> (&[Member], usize) {
        let (mut node, mut left) = (&self.root, rank);
        loop {
            match node {
                Node::Leaf(members) => return (members, left),
                Node::Inner(children) => {
                    let mut below = None;
                    for child in children {
                        if left < child.count {
                            below = Some(child);
                            break;
                        }
                        left -= child.count;
                    }
                    match below {
                        Some(child) => node = &child.node,
                        None => return (&[], 0),
                    }
                }
            }
        }
    }

    /// The members from rank `start` on.
    pub fn from(&self, start: usize) -> impl Iterator<Item = Member> {
        let mut rank = start;
        let mut leaf = self.leaf(rank);
        std::iter::from_fn(move || {
            if leaf.1 >= leaf.0.len() {
                leaf = self.leaf(rank);
            }
            let member = *leaf.0.get(leaf.1)?;
            leaf.1 += 1;
            rank += 1;
            Some(member)
        })
    }

    /// The members before rank `end`, from the highest down.
    pub fn down_from(&self, end: usize) -> impl Iterator<Item = Member> {
        let mut rank = end;
        let mut leaf: (&[Member], usize) = (&[], 0);
        std::iter::from_fn(move || {
            rank = rank.checked_sub(1)?;
            if leaf.1 == 0 {
                let (members, at) = self.leaf(rank);
                leaf = (members, at + 1);
            }
            leaf.1 -= 1;
            leaf.0.get(leaf.1).copied()
        })
    }

    /// Bytes in memory, about.
    pub fn mem_bytes(&self) -> usize {
        fn bytes(node: &Node) -> usize {
            match node {
                Node::Leaf(members) => members.capacity() * size_of::<Member>(),
                Node::Inner(children) => {
                    let below = children.iter().map(|c| size_of::<Node>() + bytes(&c.node));
                    children.capacity() * size_of::<Child>() + below.sum::<usize>()
                }
            }
        }
        bytes(&self.root)
    }
}

/// Members of a leaf, at most.
const LEAF: usize = 64;
/// Children of an inner node, at most.
const INNER: usize = 32;
