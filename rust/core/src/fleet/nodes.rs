//! Which nodes are up, what they work as, and how many GPUs of each pool do what.

use std::collections::VecDeque;

use super::clock::UnitFailures;
use super::shape::{NONE, PoolShape, Shape};
use super::sum::Sum;

/// What a GPU does, as long as it does not matter what the job does.
pub(super) const HELD: usize = 0;
pub(super) const REPAIR: usize = 1;
pub(super) const SPARE: usize = 2;
pub(super) const LEFTOVER: usize = 3;
pub(super) const CUT_OFF: usize = 4;
const DUTIES: usize = 5;

/// GPUs by duty.
type Tally = [i64; DUTIES];

#[derive(Debug, Clone, Copy)]
struct Node {
    /// Failures of wider scopes than a GPU that it is down with, and GPUs of it that are down.
    wide: u16,
    gpus: u16,
    /// The place at which it works or would work.
    place: u32,
}

impl Node {
    fn is_up(self) -> bool {
        self.wide == 0 && self.gpus == 0
    }
}

#[derive(Debug, Clone, Copy)]
struct Block {
    /// Its places without a node that is up.
    missing: u16,
    slot: u32,
    is_leftover: bool,
    /// Whether it is in its pool's queue of spares.
    is_queued: bool,
}

#[derive(Debug, Clone, Copy)]
struct Part {
    /// Its slots whose block is not whole.
    vacant: u32,
    /// How often it has ceased to be whole.
    n_breaks: u32,
    /// Whether it works in the job.
    is_on: bool,
}

/// One pool's GPUs by duty, and their seconds so far.
#[derive(Debug, Clone)]
pub(super) struct Counts {
    now: Tally,
    since_s: f64,
    seconds: [Sum; DUTIES],
    /// Nodes that are down, and the seconds for which so many were.
    down: usize,
    down_since_s: f64,
    pub down_seconds: Vec<f64>,
    /// Blocks that may be free and whole, the one longest free first.
    queue: VecDeque<u32>,
    /// Slots for which no block was found, and those that have just lost theirs.
    vacant: Vec<u32>,
    fresh: Vec<u32>,
    /// Whether a node or block has become free since vacant slots were looked at.
    has_new: bool,
}

/// What a failure takes from the job.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Loss {
    /// A rank of a part that works in the job.
    pub is_held: bool,
    /// A rank of such a part that was whole.
    pub is_of_whole: bool,
}

/// The cluster in one run.
#[derive(Debug, Clone)]
pub(super) struct Nodes<'a> {
    shape: &'a Shape,
    nodes: Vec<Node>,
    /// The node that works at each place.
    node_at: Vec<u32>,
    blocks: Vec<Block>,
    block_of_slot: Vec<u32>,
    /// Whether a slot is in the list of vacant ones, in which it may stay when it is filled.
    is_listed: Vec<bool>,
    parts: Vec<Part>,
    pub pools: Vec<Counts>,
    /// Units of each kind that are down, as bits.
    down: Vec<Vec<u64>>,
    /// Kinds whose units are GPUs, by pool.
    gpu_kinds: Vec<Vec<usize>>,
    n_on: u32,
    n_vacant_parts: u32,
    /// Parts that became vacant while they worked.
    doomed: Vec<u32>,
    /// Parts that became whole while they did not work.
    ready: Vec<u32>,
    now_s: f64,
}

impl<'a> Nodes<'a> {
    /// All units up, and spares and leftovers behind the working blocks.
    pub fn new(shape: &'a Shape, kinds: &[UnitFailures]) -> Self {
        let nodes = vec![
            Node {
                wide: 0,
                gpus: 0,
                place: NONE
            };
            shape.n_nodes as usize
        ];
        let block = Block {
            missing: 0,
            slot: NONE,
            is_leftover: false,
            is_queued: false,
        };
        let counts = Counts {
            now: [0; DUTIES],
            since_s: 0.0,
            seconds: [Sum::default(); DUTIES],
            down: 0,
            down_since_s: 0.0,
            down_seconds: vec![0.0],
            queue: VecDeque::new(),
            vacant: Vec::new(),
            fresh: Vec::new(),
            has_new: false,
        };
        let gpu_kinds = (0..shape.pools.len()).map(|pool| {
            let is_own = |kind: &&usize| {
                kinds[**kind].pool() == Some(pool) && kinds[**kind].unit_gpus() == 1
            };
            (0..kinds.len())
                .collect::<Vec<_>>()
                .iter()
                .filter(is_own)
                .copied()
                .collect()
        });
        let mut found = Self {
            shape,
            nodes,
            node_at: vec![NONE; shape.n_places as usize],
            blocks: vec![block; shape.n_blocks as usize],
            block_of_slot: vec![NONE; shape.n_slots as usize],
            is_listed: vec![false; shape.n_slots as usize],
            parts: vec![
                Part {
                    vacant: 0,
                    n_breaks: 0,
                    is_on: true
                };
                shape.n_parts as usize
            ],
            pools: vec![counts; shape.pools.len()],
            down: kinds
                .iter()
                .map(|kind| vec![0; kind.n_units().div_ceil(64) as usize])
                .collect(),
            gpu_kinds: gpu_kinds.collect(),
            n_on: shape.n_parts,
            n_vacant_parts: 0,
            doomed: Vec::new(),
            ready: Vec::new(),
            now_s: 0.0,
        };
        found.settle();
        found
    }

    /// Gives each node its place and each slot its block.
    fn settle(&mut self) {
        for (index, pool) in self.shape.pools.iter().enumerate() {
            for node in 0..pool.n_nodes {
                if let Some(home) = pool.home(node) {
                    let place = pool.base.place + home;
                    self.nodes[(pool.base.node + node) as usize].place = place;
                    self.node_at[place as usize] = pool.base.node + node;
                }
            }
            for number in 0..pool.n_blocks {
                let block = pool.base.block + number;
                if number < pool.n_slots {
                    self.blocks[block as usize].slot = pool.base.slot + number;
                    self.block_of_slot[(pool.base.slot + number) as usize] = block;
                } else if number < pool.n_slots + pool.n_spares {
                    self.blocks[block as usize].is_queued = true;
                    self.pools[index].queue.push_back(block);
                } else {
                    self.blocks[block as usize].is_leftover = true;
                }
            }
        }
        for node in 0..self.shape.n_nodes {
            self.put(node);
        }
    }

    /// Parts that work in the job.
    pub fn n_on(&self) -> u32 {
        self.n_on
    }

    /// Whether each part of the job is whole.
    pub fn is_whole(&self) -> bool {
        self.n_vacant_parts == 0
    }

    /// Whether any part is whole.
    pub fn has_whole_part(&self) -> bool {
        self.n_vacant_parts < self.shape.n_parts
    }

    /// Ranks of a pool that work in the job, or would.
    pub fn held(&self, pool: usize) -> i64 {
        self.pools[pool].now[HELD]
    }

    /// Sets the clock on the wall.
    pub fn set_now(&mut self, now_s: f64) {
        self.now_s = now_s;
    }

    /// Adds up seconds until now, and returns those of a pool's GPUs in the job since the last time.
    pub fn take_held_s(&mut self, pool: usize) -> f64 {
        self.touch(pool);
        self.pools[pool].seconds[HELD].take()
    }

    /// GPU-seconds of a pool with some duty so far.
    pub fn seconds(&mut self, pool: usize, duty: usize) -> f64 {
        self.touch(pool);
        self.pools[pool].seconds[duty].total()
    }

    /// Seconds for which so many nodes of a pool were down.
    pub fn take_down_seconds(&mut self, pool: usize) -> Vec<f64> {
        self.count_down(pool, 0);
        std::mem::take(&mut self.pools[pool].down_seconds)
    }

    /// Adds up seconds until now, before a count changes.
    fn touch(&mut self, pool: usize) {
        let counts = &mut self.pools[pool];
        let elapsed_s = self.now_s - counts.since_s;
        if elapsed_s > 0.0 {
            for (sum, &n) in counts.seconds.iter_mut().zip(&counts.now) {
                if n != 0 {
                    sum.add(n as f64 * elapsed_s);
                }
            }
        }
        counts.since_s = self.now_s;
    }

    /// Counts nodes that are down.
    fn count_down(&mut self, pool: usize, change: isize) {
        let counts = &mut self.pools[pool];
        counts.down_seconds[counts.down] += self.now_s - counts.down_since_s;
        counts.down_since_s = self.now_s;
        counts.down = counts.down.wrapping_add_signed(change);
        if counts.down >= counts.down_seconds.len() {
            counts.down_seconds.resize(counts.down + 1, 0.0);
        }
    }

    /// Removes a node's GPUs from the counts, before anything about it changes.
    fn take(&mut self, node: u32) {
        self.tally(node, -1);
    }

    /// Counts a node's GPUs again.
    fn put(&mut self, node: u32) {
        self.tally(node, 1);
    }

    fn tally(&mut self, node: u32, sign: i64) {
        let pool = usize::from(self.shape.pool_of_node[node as usize]);
        self.touch(pool);
        let found = self.duties(pool, node);
        for (count, n) in self.pools[pool].now.iter_mut().zip(found) {
            *count += sign * n;
        }
    }

    /// What the GPUs of a node do.
    fn duties(&self, pool: usize, node: u32) -> Tally {
        let shape = &self.shape.pools[pool];
        let state = self.nodes[node as usize];
        let gpus = i64::from(shape.gpus_of(node - shape.base.node));
        let mut found = [0; DUTIES];
        if state.wide > 0 {
            found[REPAIR] = gpus;
            return found;
        }
        let down = i64::from(state.gpus);
        found[REPAIR] = down;
        if state.place == NONE {
            found[self.duty_without_place(shape, node, state)] = gpus - down;
            return found;
        }
        let block = self.blocks[self.shape.block_of(shape, state.place) as usize];
        if block.slot == NONE {
            let duty = match (block.is_leftover, block.missing) {
                (true, _) => LEFTOVER,
                (false, 0) => SPARE,
                (false, _) => CUT_OFF,
            };
            found[duty] = gpus - down;
            return found;
        }
        if down == 0 && shape.tensor >= shape.node_gpus && gpus == i64::from(shape.node_gpus) {
            // All of the node is in one tensor group.
            let at = (state.place - shape.base.place) % shape.block_nodes * shape.node_gpus;
            if at + shape.node_gpus <= (at / shape.tensor + 1) * shape.tensor {
                found[self.duty_of_group(shape, block.slot, at / shape.tensor)] = gpus;
                return found;
            }
        }
        let first = (state.place - shape.base.place) % shape.block_nodes * shape.node_gpus;
        for gpu in 0..gpus as u32 {
            if down > 0 && self.gpu_is_down(pool, node, gpu) {
                continue;
            }
            let duty = if first + gpu < shape.block_gpus {
                self.duty_of_group(shape, block.slot, (first + gpu) / shape.tensor)
            } else {
                LEFTOVER
            };
            found[duty] += 1;
        }
        found
    }

    /// What the GPUs of a node do that has no place in a block.
    fn duty_without_place(&self, shape: &PoolShape, node: u32, state: Node) -> usize {
        let number = node - shape.base.node;
        let domain = number / shape.domain_nodes;
        if domain >= shape.n_domains || !shape.is_of_use(number) {
            LEFTOVER
        } else if state.is_up() {
            SPARE
        } else {
            CUT_OFF
        }
    }

    /// What the GPUs of a tensor group of a slot do.
    fn duty_of_group(&self, shape: &PoolShape, slot: u32, group: u32) -> usize {
        match self.part(shape, slot, group) {
            NONE => LEFTOVER,
            part if self.parts[part as usize].is_on => HELD,
            _ => CUT_OFF,
        }
    }

    fn part(&self, shape: &PoolShape, slot: u32, group: u32) -> u32 {
        let first = shape.base.group + (slot - shape.base.slot) * shape.block_groups;
        self.shape.part_of_group[(first + group) as usize]
    }

    fn gpu_is_down(&self, pool: usize, node: u32, gpu: u32) -> bool {
        let shape = &self.shape.pools[pool];
        let unit = (node - shape.base.node) * shape.node_gpus + gpu;
        self.gpu_kinds[pool]
            .iter()
            .any(|&kind| self.is_down(kind, unit))
    }

    /// Whether a unit is down with its own kind of failure.
    pub fn is_down(&self, kind: usize, unit: u32) -> bool {
        self.down[kind][(unit / 64) as usize] >> (unit % 64) & 1 == 1
    }

    fn set_down(&mut self, kind: usize, unit: u32, is_down: bool) {
        let bits = &mut self.down[kind][(unit / 64) as usize];
        let bit = 1 << (unit % 64);
        *bits = if is_down { *bits | bit } else { *bits & !bit };
    }

    /// What the failure of a unit that is up takes from the job.
    ///
    /// `parts` takes the parts that lose a rank.
    pub fn loss(&self, failures: &UnitFailures, unit: u32, parts: &mut Vec<u32>) -> Loss {
        let mut loss = Loss::default();
        let Some(pool) = failures.pool() else {
            return Loss {
                is_held: true,
                is_of_whole: true,
            };
        };
        let shape = &self.shape.pools[pool];
        let first = u64::from(unit) * u64::from(failures.unit_gpus());
        let end = (first + u64::from(failures.unit_gpus())).min(u64::from(shape.n_gpus)) as u32;
        let mut gpu = first as u32;
        while gpu < end {
            let node = shape.base.node + gpu / shape.node_gpus;
            let node_end = (gpu / shape.node_gpus + 1) * shape.node_gpus;
            let next = self.loss_of(pool, node, gpu % shape.node_gpus, &mut loss, parts);
            gpu = node_end.min(gpu - gpu % shape.node_gpus + next);
        }
        loss
    }

    /// Adds what the loss of a GPU of a node takes; returns the first GPU of the node of another
    /// tensor group.
    fn loss_of(
        &self,
        pool: usize,
        node: u32,
        gpu: u32,
        loss: &mut Loss,
        parts: &mut Vec<u32>,
    ) -> u32 {
        let shape = &self.shape.pools[pool];
        let state = self.nodes[node as usize];
        let all = shape.node_gpus;
        if state.wide > 0 || state.place == NONE {
            return all;
        }
        let block = self.blocks[self.shape.block_of(shape, state.place) as usize];
        let first = (state.place - shape.base.place) % shape.block_nodes * shape.node_gpus;
        if block.slot == NONE || first + gpu >= shape.block_gpus {
            return all;
        }
        let group = (first + gpu) / shape.tensor;
        if state.gpus > 0 && self.gpu_is_down(pool, node, gpu) {
            return gpu + 1;
        }
        let number = self.part(shape, block.slot, group);
        if let Some(part) = self.parts.get(number as usize).filter(|part| part.is_on) {
            loss.is_held = true;
            loss.is_of_whole |= part.vacant == 0;
            parts.push(number);
        }
        if state.gpus > 0 {
            gpu + 1
        } else {
            (group + 1) * shape.tensor - first
        }
    }

    /// Takes a unit that is up out of service.
    pub fn fail(&mut self, kind: usize, failures: &UnitFailures, unit: u32) {
        self.change(kind, failures, unit, true);
    }

    /// Puts a repaired unit back.
    pub fn repair(&mut self, kind: usize, failures: &UnitFailures, unit: u32) {
        self.change(kind, failures, unit, false);
    }

    fn change(&mut self, kind: usize, failures: &UnitFailures, unit: u32, fails: bool) {
        let Some(pool) = failures.pool() else { return };
        let shape = &self.shape.pools[pool];
        if failures.unit_gpus() == 1 {
            let node = shape.base.node + unit / shape.node_gpus;
            let gpu = unit % shape.node_gpus;
            self.take(node);
            let was_up = self.nodes[node as usize].is_up();
            self.set_down(kind, unit, false);
            // It may be down with another kind as well.
            let is_first = !self.gpu_is_down(pool, node, gpu);
            self.set_down(kind, unit, fails);
            if is_first {
                let gpus = &mut self.nodes[node as usize].gpus;
                *gpus = if fails { *gpus + 1 } else { *gpus - 1 };
            }
            self.after_change(pool, node, was_up);
            return;
        }
        self.set_down(kind, unit, fails);
        let unit_nodes = failures.unit_gpus() / shape.node_gpus;
        let first = unit * unit_nodes;
        for number in first..(first + unit_nodes).min(shape.n_nodes) {
            let node = shape.base.node + number;
            self.take(node);
            let was_up = self.nodes[node as usize].is_up();
            let wide = &mut self.nodes[node as usize].wide;
            *wide = if fails { *wide + 1 } else { *wide - 1 };
            self.after_change(pool, node, was_up);
        }
    }

    /// Counts a node again whose state has changed, and what follows for its block.
    fn after_change(&mut self, pool: usize, node: u32, was_up: bool) {
        self.put(node);
        let is_up = self.nodes[node as usize].is_up();
        if was_up == is_up {
            return;
        }
        self.count_down(pool, if is_up { -1 } else { 1 });
        if is_up {
            self.gain(pool, node);
        } else {
            self.lose(pool, node);
        }
    }

    /// A node that was up is not any more.
    fn lose(&mut self, pool: usize, node: u32) {
        let place = self.nodes[node as usize].place;
        if place != NONE {
            let block = self.shape.block_of(&self.shape.pools[pool], place);
            self.add_missing(pool, block, true);
        }
    }

    /// A node is up again: it works where it did, or else where it is needed.
    fn gain(&mut self, pool: usize, node: u32) {
        let shape = &self.shape.pools[pool];
        let place = self.nodes[node as usize].place;
        if place != NONE {
            let block = self.shape.block_of(shape, place);
            self.add_missing(pool, block, false);
            return;
        }
        let number = node - shape.base.node;
        let home = shape.home(number).map(|home| shape.base.place + home);
        let free = home.filter(|&place| self.node_at[place as usize] == NONE);
        if let Some(place) = free.or_else(|| self.free_place(shape, number)) {
            self.attach(pool, node, place);
        } else {
            self.pools[pool].has_new = true;
        }
    }

    /// A place without a node in the domain of a node.
    fn free_place(&self, shape: &PoolShape, node: u32) -> Option<u32> {
        let domain = node / shape.domain_nodes;
        let has_others = shape.first_stand_in < shape.domain_nodes;
        if domain >= shape.n_domains || !has_others || !shape.is_of_use(node) {
            return None;
        }
        let n_places = shape.domain_blocks * shape.block_nodes;
        let first = shape.base.place + domain * n_places;
        (first..first + n_places).find(|&place| self.node_at[place as usize] == NONE)
    }

    /// Puts a node that is up and has no place at one.
    fn attach(&mut self, pool: usize, node: u32, place: u32) {
        self.take(node);
        self.nodes[node as usize].place = place;
        self.node_at[place as usize] = node;
        self.put(node);
        let block = self.shape.block_of(&self.shape.pools[pool], place);
        self.add_missing(pool, block, false);
    }

    /// A place of a block has lost its node, or has one again.
    fn add_missing(&mut self, pool: usize, block: u32, loses: bool) {
        let state = self.blocks[block as usize];
        let missing = if loses {
            state.missing + 1
        } else {
            state.missing - 1
        };
        let turns = (state.missing == 0) != (missing == 0);
        let is_spare = state.slot == NONE && !state.is_leftover;
        let counts_again = turns && is_spare;
        if counts_again {
            self.each_node(block, Self::take);
        }
        self.blocks[block as usize].missing = missing;
        if counts_again {
            self.each_node(block, Self::put);
        }
        if state.slot != NONE && loses {
            self.pools[pool].fresh.push(state.slot);
        }
        if !turns {
            return;
        }
        if state.slot != NONE {
            self.add_vacant(state.slot, loses);
        } else if is_spare && !loses {
            self.queue(pool, block);
        }
    }

    fn each_node(&mut self, block: u32, act: fn(&mut Self, u32)) {
        let first = self.shape.first_place(block);
        for place in first..first + self.shape.of_block(block).block_nodes {
            let node = self.node_at[place as usize];
            if node != NONE {
                act(self, node);
            }
        }
    }

    fn queue(&mut self, pool: usize, block: u32) {
        let state = &mut self.blocks[block as usize];
        if !state.is_queued {
            state.is_queued = true;
            self.pools[pool].queue.push_back(block);
        }
        self.pools[pool].has_new = true;
    }

    /// A slot has lost its block, or has a whole one again.
    fn add_vacant(&mut self, slot: u32, loses: bool) {
        let shape = self.shape;
        for &part in shape.parts_of_slot.of(slot) {
            let state = &mut self.parts[part as usize];
            if loses {
                state.vacant += 1;
                if state.vacant == 1 {
                    state.n_breaks = state.n_breaks.wrapping_add(1);
                    self.n_vacant_parts += 1;
                    if state.is_on {
                        self.doomed.push(part);
                    }
                }
            } else {
                state.vacant -= 1;
                if state.vacant == 0 {
                    self.n_vacant_parts -= 1;
                    if !state.is_on {
                        self.ready.push(part);
                    }
                }
            }
        }
    }

    /// Fills places and slots from the nodes of their domains and the spares of their pools;
    /// returns whether any was filled by another node.
    ///
    /// While the job runs, slots of parts that work are left as they are.
    pub fn assign(&mut self, runs: bool) -> bool {
        let mut swaps = false;
        for pool in 0..self.pools.len() {
            let fresh = std::mem::take(&mut self.pools[pool].fresh);
            if fresh.is_empty() && !self.pools[pool].has_new {
                continue;
            }
            let mut wanted = fresh;
            if self.pools[pool].has_new || !self.pools[pool].queue.is_empty() {
                for slot in std::mem::take(&mut self.pools[pool].vacant) {
                    self.is_listed[slot as usize] = false;
                    wanted.push(slot);
                }
            }
            self.pools[pool].has_new = false;
            if wanted.len() > 1 {
                wanted.sort_unstable_by_key(|&slot| (self.most_vacant(slot), slot));
                wanted.dedup();
            }
            for slot in wanted {
                let block = self.block_of_slot[slot as usize];
                if self.blocks[block as usize].missing == 0 {
                    continue;
                }
                if runs && self.works(slot) {
                    self.pools[pool].fresh.push(slot);
                    continue;
                }
                swaps |= self.fill(pool, block);
                if self.blocks[block as usize].missing == 0 {
                    continue;
                }
                if let Some(spare) = self.next_spare(pool) {
                    self.swap(pool, slot, block, spare);
                    swaps = true;
                } else if !self.is_listed[slot as usize] {
                    self.is_listed[slot as usize] = true;
                    self.pools[pool].vacant.push(slot);
                }
            }
        }
        swaps
    }

    /// Whether any part of a slot works in the job.
    fn works(&self, slot: u32) -> bool {
        let parts = self.shape.parts_of_slot.of(slot).iter();
        parts
            .into_iter()
            .any(|&part| self.parts[part as usize].is_on)
    }

    /// Vacant slots of the part of a slot that lacks most.
    fn most_vacant(&self, slot: u32) -> u32 {
        let parts = self.shape.parts_of_slot.of(slot).iter();
        parts
            .map(|&part| self.parts[part as usize].vacant)
            .max()
            .unwrap_or(0)
    }

    /// Takes nodes that are down off a block, and puts free ones of its domain at their places.
    fn fill(&mut self, pool: usize, block: u32) -> bool {
        let shape = &self.shape.pools[pool];
        let first = self.shape.first_place(block);
        let mut fills = false;
        for place in first..first + shape.block_nodes {
            let node = self.node_at[place as usize];
            if node != NONE {
                if self.nodes[node as usize].is_up() {
                    continue;
                }
                self.take(node);
                self.nodes[node as usize].place = NONE;
                self.node_at[place as usize] = NONE;
                self.put(node);
            }
            if let Some(free) = self.free_node(shape, block - shape.base.block) {
                self.attach(pool, free, place);
                fills = true;
            }
        }
        fills
    }

    /// A node that is up and has no place in the domain of a block.
    fn free_node(&self, shape: &PoolShape, block: u32) -> Option<u32> {
        if shape.first_stand_in >= shape.domain_nodes {
            return None;
        }
        let first = shape.base.node + block / shape.domain_blocks * shape.domain_nodes;
        (first..first + shape.domain_nodes).find(|&node| {
            let state = self.nodes[node as usize];
            state.is_up() && state.place == NONE && shape.is_of_use(node - shape.base.node)
        })
    }

    /// The spare block that has been free for longest.
    fn next_spare(&mut self, pool: usize) -> Option<u32> {
        while let Some(block) = self.pools[pool].queue.pop_front() {
            let state = &mut self.blocks[block as usize];
            state.is_queued = false;
            if state.missing == 0 && state.slot == NONE {
                return Some(block);
            }
        }
        None
    }

    /// Lets a spare block work as a slot instead of another one.
    fn swap(&mut self, pool: usize, slot: u32, old: u32, new: u32) {
        for block in [old, new] {
            self.each_node(block, Self::take);
        }
        self.blocks[old as usize].slot = NONE;
        self.blocks[new as usize].slot = slot;
        self.block_of_slot[slot as usize] = new;
        for block in [old, new] {
            self.each_node(block, Self::put);
        }
        self.add_vacant(slot, false);
        if self.blocks[old as usize].missing == 0 {
            self.queue(pool, old);
        }
    }

    /// Lets all parts work that are whole.
    pub fn switch_on(&mut self) {
        for part in std::mem::take(&mut self.ready) {
            self.switch_on_part(part);
        }
    }

    /// Lets a part work if it is whole and does not; returns whether it does so from now on.
    pub fn switch_on_part(&mut self, part: u32) -> bool {
        let state = self.parts[part as usize];
        let turns = !state.is_on && state.vacant == 0;
        if turns {
            self.switch(part, true);
        }
        turns
    }

    /// Adds the parts that work and are not whole to those that lose a rank, each once.
    pub fn add_doomed(&self, parts: &mut Vec<u32>) {
        let is_lost = |part: &&u32| {
            let state = self.parts[**part as usize];
            state.is_on && state.vacant > 0
        };
        parts.extend(self.doomed.iter().filter(is_lost));
        parts.sort_unstable();
        parts.dedup();
    }

    /// Lets the job go on without the parts that are not whole.
    pub fn switch_off(&mut self) {
        for part in std::mem::take(&mut self.doomed) {
            let state = self.parts[part as usize];
            if state.is_on && state.vacant > 0 {
                self.switch(part, false);
            }
        }
    }

    /// How often a part has ceased to be whole.
    pub fn n_breaks(&self, part: u32) -> u32 {
        self.parts[part as usize].n_breaks
    }

    /// Lets the job go on without a part.
    pub fn switch_off_part(&mut self, part: u32) {
        let state = self.parts[part as usize];
        if state.is_on {
            self.switch(part, false);
            if state.vacant == 0 {
                self.ready.push(part);
            }
        }
    }

    /// Whether a part is whole and does not work.
    pub fn has_ready(&mut self) -> bool {
        let parts = &self.parts;
        self.ready.retain(|&part| {
            let state = parts[part as usize];
            !state.is_on && state.vacant == 0
        });
        !self.ready.is_empty()
    }

    /// Parts that are whole and do not work, once.
    pub fn take_ready(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.ready)
    }

    fn switch(&mut self, part: u32, is_on: bool) {
        let shape = self.shape;
        let slots = shape.slots_of_part.of(part);
        for &slot in slots {
            self.each_node(self.block_of_slot[slot as usize], Self::take);
        }
        self.parts[part as usize].is_on = is_on;
        self.n_on = if is_on { self.n_on + 1 } else { self.n_on - 1 };
        for &slot in slots {
            self.each_node(self.block_of_slot[slot as usize], Self::put);
        }
    }
}
