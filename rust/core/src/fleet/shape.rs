//! Where the nodes of a cluster are, and which places of a job there are.
//!
//! A *block* is the smallest part of a domain that is whole nodes and whole tensor groups: what a
//! spare replaces. A *slot* is what a block works as in the job, a *place* one node of a block. A
//! *part* of the job is what it can go on without: a replica, or a shard group.

use crate::error::{Error, Result};

/// No node, block, slot or part.
pub(super) const NONE: u32 = u32::MAX;

/// One pool of a cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct FleetPool {
    /// GPUs in all, those of its domains that are not used included.
    pub n_gpus: u32,
    /// GPUs of a node.
    pub node_gpus: u32,
    /// GPUs of a domain.
    pub domain_gpus: u32,
    /// Those of them that the pool uses; whole nodes among the others stand in for them.
    pub domain_gpus_used: u32,
    /// Ranks of a tensor group.
    pub tensor: u32,
    /// GPUs of a block.
    pub block_gpus: u32,
    /// Blocks after the working ones that are spares.
    pub spare_blocks: u32,
    /// The part of the job that each working tensor group belongs to.
    pub parts: Vec<u32>,
    /// Work that a rank does in a second, in any unit.
    pub work_per_s: f64,
}

impl FleetPool {
    /// # Errors
    /// [`Error::Domain`] for counts that do not fit together.
    pub(super) fn check(&self, n_parts: u32) -> Result<()> {
        let refuse = |field: &str, value: u32, requirement: &str| {
            Err(Error::domain(field, f64::from(value), requirement))
        };
        if self.node_gpus == 0 || self.domain_gpus == 0 {
            return refuse("node_gpus", self.node_gpus, ">= 1, as domain_gpus");
        }
        if self.domain_gpus_used == 0 || self.domain_gpus_used > self.domain_gpus {
            return refuse(
                "domain_gpus_used",
                self.domain_gpus_used,
                ">= 1 and <= domain_gpus",
            );
        }
        if self.tensor == 0 || self.block_gpus == 0 || !self.block_gpus.is_multiple_of(self.tensor)
        {
            return refuse("block_gpus", self.block_gpus, "a multiple of tensor >= 1");
        }
        if self.block_gpus > self.domain_gpus_used {
            return refuse("block_gpus", self.block_gpus, "<= domain_gpus_used");
        }
        let shape = PoolShape::new(self, Bases::default());
        if u64::from(shape.n_slots) + u64::from(self.spare_blocks) > u64::from(shape.n_blocks) {
            return refuse("spare_blocks", self.spare_blocks, "so many as do not work");
        }
        if let Some(&part) = self.parts.iter().find(|&&part| part >= n_parts) {
            return refuse("parts", part, "below the number of parts");
        }
        Ok(())
    }
}

/// First numbers of a pool's nodes, blocks, places, slots and tensor groups among all of them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Bases {
    pub node: u32,
    pub block: u32,
    pub place: u32,
    pub slot: u32,
    pub group: u32,
}

/// Counts of a pool, with everything in whole nodes and blocks.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PoolShape {
    pub n_gpus: u32,
    pub node_gpus: u32,
    pub tensor: u32,
    pub block_gpus: u32,
    pub n_nodes: u32,
    pub n_blocks: u32,
    pub n_slots: u32,
    pub n_spares: u32,
    pub n_domains: u32,
    pub domain_nodes: u32,
    /// First node of a domain that stands in for others.
    pub first_stand_in: u32,
    pub domain_blocks: u32,
    pub block_nodes: u32,
    /// Tensor groups of a block.
    pub block_groups: u32,
    pub base: Bases,
    pub work_per_s: f64,
}

impl PoolShape {
    pub fn new(pool: &FleetPool, base: Bases) -> Self {
        let block_groups = pool.block_gpus / pool.tensor;
        let domain_blocks = pool.domain_gpus_used / pool.block_gpus;
        let n_domains = pool.n_gpus / pool.domain_gpus;
        Self {
            n_gpus: pool.n_gpus,
            node_gpus: pool.node_gpus,
            tensor: pool.tensor,
            block_gpus: pool.block_gpus,
            n_nodes: pool.n_gpus.div_ceil(pool.node_gpus),
            n_blocks: n_domains * domain_blocks,
            n_slots: (pool.parts.len() as u32).div_ceil(block_groups),
            n_spares: pool.spare_blocks,
            n_domains,
            domain_nodes: pool.domain_gpus.div_ceil(pool.node_gpus),
            first_stand_in: pool.domain_gpus_used.div_ceil(pool.node_gpus),
            domain_blocks,
            block_nodes: pool.block_gpus.div_ceil(pool.node_gpus),
            block_groups,
            base,
            work_per_s: pool.work_per_s,
        }
    }

    /// First numbers of the next pool.
    pub fn after(&self) -> Bases {
        Bases {
            node: self.base.node + self.n_nodes,
            block: self.base.block + self.n_blocks,
            place: self.base.place + self.n_blocks * self.block_nodes,
            slot: self.base.slot + self.n_slots,
            group: self.base.group + self.n_slots * self.block_groups,
        }
    }

    /// Whether blocks are of several nodes, which then are counted as a whole.
    pub fn has_blocks_of_nodes(&self) -> bool {
        self.block_nodes > 1
    }

    /// Whether nodes stand in for others of their domains.
    pub fn has_stand_ins(&self) -> bool {
        self.first_stand_in < self.domain_nodes
    }

    /// GPUs of a node, counted in the pool; the last one may have fewer.
    pub fn gpus_of(&self, node: u32) -> u32 {
        self.node_gpus.min(self.n_gpus - node * self.node_gpus)
    }

    /// Whether a node of a full domain, counted in the pool, works in a block or stands in for one
    /// that does.
    pub fn is_of_use(&self, node: u32) -> bool {
        node % self.domain_nodes >= self.first_stand_in || self.home(node).is_some()
    }

    /// The place of a node, both counted in the pool, at which it works by itself, if at any.
    pub fn home(&self, node: u32) -> Option<u32> {
        let (domain, node) = (node / self.domain_nodes, node % self.domain_nodes);
        if domain >= self.n_domains || self.block_nodes == 0 {
            return None;
        }
        // Blocks are whole nodes, unless there is one a domain.
        let (block, at) = if self.domain_blocks == 1 {
            (0, node)
        } else {
            (node / self.block_nodes, node % self.block_nodes)
        };
        let is_in = block < self.domain_blocks && at < self.block_nodes;
        is_in.then(|| (domain * self.domain_blocks + block) * self.block_nodes + at)
    }
}

/// All pools, with the parts of the job in their slots.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shape {
    pub pools: Vec<PoolShape>,
    pub n_nodes: u32,
    pub n_blocks: u32,
    pub n_places: u32,
    pub n_slots: u32,
    pub n_parts: u32,
    /// Part of each tensor group of each slot; none of those that do not work.
    pub part_of_group: Vec<u32>,
    /// The part that all GPUs of a slot's nodes belong to; none where these do not all.
    pub only_part_of_slot: Vec<u32>,
    /// The parts that each slot belongs to.
    pub parts_of_slot: Lists,
    /// The slots that each part has.
    pub slots_of_part: Lists,
    /// Pool of each block and of each node.
    pub pool_of_block: Vec<u16>,
    pub pool_of_node: Vec<u16>,
}

impl Shape {
    /// # Errors
    /// [`Error::Domain`] for counts that do not fit together.
    pub fn new(pools: &[FleetPool], n_parts: u32) -> Result<Self> {
        let mut shapes: Vec<PoolShape> = Vec::new();
        let mut base = Bases::default();
        let mut part_of_group = Vec::new();
        let mut parts_of_slot = Vec::new();
        let mut only_part_of_slot = Vec::new();
        let (mut pool_of_block, mut pool_of_node) = (Vec::new(), Vec::new());
        for (index, pool) in pools.iter().enumerate() {
            let within = |error: Error| error.within(&format!("pools.{index}"));
            pool.check(n_parts).map_err(within)?;
            let shape = PoolShape::new(pool, base);
            base = shape.after();
            let width = shape.block_groups as usize;
            for groups in pool.parts.chunks(width) {
                let mut own: Vec<u32> = groups.to_vec();
                part_of_group.extend_from_slice(groups);
                part_of_group.extend(std::iter::repeat_n(NONE, width - groups.len()));
                own.sort_unstable();
                own.dedup();
                let is_full = groups.len() == width
                    && shape.block_nodes * shape.node_gpus == shape.block_gpus;
                only_part_of_slot.push(if is_full && own.len() == 1 {
                    own[0]
                } else {
                    NONE
                });
                parts_of_slot.push(own);
            }
            pool_of_block.extend(std::iter::repeat_n(index as u16, shape.n_blocks as usize));
            pool_of_node.extend(std::iter::repeat_n(index as u16, shape.n_nodes as usize));
            shapes.push(shape);
        }
        let slots_of_part = Lists::transposed(&parts_of_slot, n_parts as usize);
        Ok(Self {
            pools: shapes,
            n_nodes: base.node,
            n_blocks: base.block,
            n_places: base.place,
            n_slots: base.slot,
            n_parts,
            part_of_group,
            only_part_of_slot,
            parts_of_slot: Lists::new(&parts_of_slot),
            slots_of_part,
            pool_of_block,
            pool_of_node,
        })
    }

    /// The pool of a block.
    pub fn of_block(&self, block: u32) -> &PoolShape {
        &self.pools[usize::from(self.pool_of_block[block as usize])]
    }

    /// The block of a place of a pool.
    pub fn block_of(&self, pool: &PoolShape, place: u32) -> u32 {
        pool.base.block + (place - pool.base.place) / pool.block_nodes
    }

    /// The first place of a block.
    pub fn first_place(&self, block: u32) -> u32 {
        let pool = self.of_block(block);
        pool.base.place + (block - pool.base.block) * pool.block_nodes
    }
}

/// Lists of numbers, one after another.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lists {
    starts: Vec<u32>,
    entries: Vec<u32>,
}

impl Lists {
    fn new(lists: &[Vec<u32>]) -> Self {
        let mut starts = vec![0];
        let mut entries = Vec::new();
        for list in lists {
            entries.extend_from_slice(list);
            starts.push(entries.len() as u32);
        }
        Self { starts, entries }
    }

    /// Which lists each number is in.
    fn transposed(lists: &[Vec<u32>], n: usize) -> Self {
        let mut starts = vec![0_u32; n + 1];
        for &number in lists.iter().flatten() {
            starts[number as usize + 1] += 1;
        }
        for index in 0..n {
            starts[index + 1] += starts[index];
        }
        let mut next = starts.clone();
        let mut entries = vec![0; starts[n] as usize];
        for (index, list) in lists.iter().enumerate() {
            for &number in list {
                let place = &mut next[number as usize];
                entries[*place as usize] = index as u32;
                *place += 1;
            }
        }
        Self { starts, entries }
    }

    pub fn of(&self, index: u32) -> &[u32] {
        let index = index as usize;
        &self.entries[self.starts[index] as usize..self.starts[index + 1] as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nvl72() -> FleetPool {
        FleetPool {
            n_gpus: 4 * 72 + 20,
            node_gpus: 4,
            domain_gpus: 72,
            domain_gpus_used: 64,
            tensor: 8,
            block_gpus: 8,
            spare_blocks: 8,
            parts: (0..24).map(|group| group / 2).collect(),
            work_per_s: 1.0,
        }
    }

    #[test]
    fn homes_are_the_nodes_of_blocks_counted_one_by_one() {
        let pool = nvl72();
        let shape = PoolShape::new(&pool, Bases::default());
        assert_eq!((shape.n_blocks, shape.n_slots, shape.n_nodes), (32, 24, 77));
        let mut homes = vec![None; shape.n_nodes as usize];
        for block in 0..shape.n_blocks {
            for at in 0..2 {
                // Eight blocks of two nodes in the 18 nodes of a domain.
                let node = block / 8 * 18 + block % 8 * 2 + at;
                homes[node as usize] = Some(block * 2 + at);
            }
        }
        for (node, home) in homes.into_iter().enumerate() {
            assert_eq!(shape.home(node as u32), home, "node {node}");
        }
    }

    #[test]
    fn a_tensor_group_that_divides_no_node_makes_one_block_a_domain() {
        let pool = FleetPool {
            n_gpus: 16,
            node_gpus: 8,
            domain_gpus: 8,
            domain_gpus_used: 8,
            tensor: 3,
            block_gpus: 6,
            spare_blocks: 0,
            parts: vec![0, 1, 2, 3],
            work_per_s: 1.0,
        };
        let shape = PoolShape::new(&pool, Bases::default());
        assert_eq!((shape.n_blocks, shape.block_nodes), (2, 1));
        assert_eq!((shape.home(0), shape.home(1)), (Some(0), Some(1)));
    }

    #[test]
    fn a_slot_lists_its_parts_and_a_part_its_slots() {
        let shape = Shape::new(&[nvl72(), nvl72()], 12).unwrap();
        assert_eq!(shape.parts_of_slot.of(3), [1]);
        assert_eq!(shape.slots_of_part.of(1), [2, 3, 26, 27]);
        assert_eq!(shape.n_places, 128);
    }
}
