//! Which nodes are up, and what they work as.

use std::hint::black_box;

use super::clock::UnitFailures;
use super::ledger::{Duty, Ledger, Tally};
use super::parts::Parts;
use super::shape::{NONE, PoolShape, Shape};
use super::vacancies::Vacancies;

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
}

/// GPUs of the nodes at the places of a block.
#[derive(Debug, Clone, Copy, Default)]
struct BlockGpus {
    all: u32,
    /// Those of them that are down.
    down: u32,
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
    /// GPUs of each block, where pools have blocks of several nodes; empty otherwise.
    block_gpus: Vec<BlockGpus>,
    block_of_slot: Vec<u32>,
    pub parts: Parts,
    ledgers: Vec<Ledger>,
    vacancies: Vec<Vacancies>,
    /// Units of each kind that are down, as bits.
    down: Vec<Vec<u64>>,
    /// Kinds whose units are GPUs, by pool.
    gpu_kinds: Vec<Vec<usize>>,
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
        };
        let gpu_kinds = (0..shape.pools.len()).map(|pool| {
            let is_own =
                |&kind: &usize| kinds[kind].pool() == Some(pool) && kinds[kind].unit_gpus() == 1;
            (0..kinds.len()).filter(is_own).collect()
        });
        let mut found = Self {
            shape,
            nodes,
            node_at: vec![NONE; shape.n_places as usize],
            blocks: vec![block; shape.n_blocks as usize],
            block_gpus: if shape.pools.iter().any(PoolShape::has_blocks_of_nodes) {
                vec![BlockGpus::default(); shape.n_blocks as usize]
            } else {
                Vec::new()
            },
            block_of_slot: vec![NONE; shape.n_slots as usize],
            parts: Parts::new(shape.n_parts),
            ledgers: vec![Ledger::new(); shape.pools.len()],
            vacancies: shape
                .pools
                .iter()
                .map(|pool| Vacancies::new(pool.n_slots, pool.n_blocks))
                .collect(),
            down: kinds
                .iter()
                .map(|kind| vec![0; kind.n_units().div_ceil(64) as usize])
                .collect(),
            gpu_kinds: gpu_kinds.collect(),
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
                    self.vacancies[index].add_block(number);
                } else {
                    self.blocks[block as usize].is_leftover = true;
                }
            }
        }
        for node in 0..self.shape.n_nodes {
            self.put(node);
        }
    }

    /// Ranks of a pool that work in the job, or would.
    pub fn held(&self, pool: usize) -> i64 {
        self.ledgers[pool].held()
    }

    /// Sets the clock on the wall.
    pub fn set_now(&mut self, now_s: f64) {
        self.now_s = now_s;
    }

    /// Seconds of a pool's GPUs in the job, since this was asked last.
    pub fn take_held_s(&mut self, pool: usize) -> f64 {
        self.ledgers[pool].take_held_s(self.now_s)
    }

    /// Seconds of a pool's GPUs with some duty so far.
    pub fn seconds(&mut self, pool: usize, duty: Duty) -> f64 {
        self.ledgers[pool].seconds(self.now_s, duty)
    }

    /// Seconds for which 0, 1, 2 and so on nodes of a pool were down.
    pub fn down_seconds(&mut self, pool: usize) -> Vec<f64> {
        self.ledgers[pool].down_seconds(self.now_s)
    }

    /// Removes a node's GPUs from the counts, before anything about it changes.
    fn take(&mut self, node: u32) {
        let pool = usize::from(self.shape.pool_of_node[node as usize]);
        self.take_duties(pool, node);
        if let Some((block, all, down)) = self.of_block(pool, node) {
            self.block_gpus[block].all -= all;
            self.block_gpus[block].down -= down;
        }
    }

    /// Counts a node's GPUs again.
    fn put(&mut self, node: u32) {
        let pool = usize::from(self.shape.pool_of_node[node as usize]);
        self.put_duties(pool, node);
        if let Some((block, all, down)) = self.of_block(pool, node) {
            self.block_gpus[block].all += all;
            self.block_gpus[block].down += down;
        }
    }

    /// The block of a node, where GPUs of blocks are counted, its GPUs, and those that are down.
    fn of_block(&self, pool: usize, node: u32) -> Option<(usize, u32, u32)> {
        let shape = &self.shape.pools[pool];
        let state = self.nodes[node as usize];
        if state.place == NONE || !shape.has_blocks_of_nodes() {
            return None;
        }
        let all = shape.gpus_of(node - shape.base.node);
        let down = if state.wide > 0 {
            all
        } else {
            u32::from(state.gpus)
        };
        Some((self.shape.block_of(shape, state.place) as usize, all, down))
    }

    fn take_duties(&mut self, pool: usize, node: u32) {
        let tally = self.duties(pool, node);
        self.ledgers[pool].remove(self.now_s, tally);
    }

    fn put_duties(&mut self, pool: usize, node: u32) {
        let tally = self.duties(pool, node);
        self.ledgers[pool].add(self.now_s, tally);
    }

    /// Removes the GPUs of a block's nodes from the counts, before anything about it changes.
    fn take_block(&mut self, block: u32) {
        let pool = usize::from(self.shape.pool_of_block[block as usize]);
        match self.duties_of_block(pool, block) {
            Some(tally) => self.ledgers[pool].remove(self.now_s, tally),
            None => self.each_node(block, |nodes, node| nodes.take_duties(pool, node)),
        }
    }

    /// Counts the GPUs of a block's nodes again.
    fn put_block(&mut self, block: u32) {
        let pool = usize::from(self.shape.pool_of_block[block as usize]);
        match self.duties_of_block(pool, block) {
            Some(tally) => self.ledgers[pool].add(self.now_s, tally),
            None => self.each_node(block, |nodes, node| nodes.put_duties(pool, node)),
        }
    }

    /// What the GPUs of all nodes of a block do, if all that are up do the same.
    fn duties_of_block(&self, pool: usize, block: u32) -> Option<Tally> {
        let shape = &self.shape.pools[pool];
        if !shape.has_blocks_of_nodes() {
            return None;
        }
        let state = self.blocks[block as usize];
        let duty = if state.slot == NONE {
            Self::duty_without_slot(state)
        } else {
            let part = self.shape.only_part_of_slot[state.slot as usize];
            if part == NONE {
                return None;
            }
            self.duty_of_part(part)
        };
        let BlockGpus { all, down } = self.block_gpus[block as usize];
        let mut found = Tally::default();
        found.add(Duty::Repair, i64::from(down));
        found.add(duty, i64::from(all - down));
        Some(found)
    }

    /// What the GPUs of a node do.
    fn duties(&self, pool: usize, node: u32) -> Tally {
        let shape = &self.shape.pools[pool];
        let state = self.nodes[node as usize];
        let gpus = i64::from(shape.gpus_of(node - shape.base.node));
        let mut found = Tally::default();
        if state.wide > 0 {
            found.add(Duty::Repair, gpus);
            return found;
        }
        let down = i64::from(state.gpus);
        found.add(Duty::Repair, down);
        if state.place == NONE {
            found.add(self.duty_without_place(shape, node, state), gpus - down);
            return found;
        }
        let block = self.blocks[self.shape.block_of(shape, state.place) as usize];
        if block.slot == NONE {
            found.add(Self::duty_without_slot(block), gpus - down);
            return found;
        }
        if down == 0 && shape.tensor >= shape.node_gpus && gpus == i64::from(shape.node_gpus) {
            // All of the node is in one tensor group.
            let at = (state.place - shape.base.place) % shape.block_nodes * shape.node_gpus;
            if at + shape.node_gpus <= (at / shape.tensor + 1) * shape.tensor {
                found.add(
                    self.duty_of_group(shape, block.slot, at / shape.tensor),
                    gpus,
                );
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
                Duty::Leftover
            };
            found.add(duty, 1);
        }
        found
    }

    /// What the GPUs of a node do that has no place in a block.
    fn duty_without_place(&self, shape: &PoolShape, node: u32, state: Node) -> Duty {
        let number = node - shape.base.node;
        let domain = number / shape.domain_nodes;
        if domain >= shape.n_domains || !shape.is_of_use(number) {
            Duty::Leftover
        } else if state.is_up() {
            Duty::Spare
        } else {
            Duty::CutOff
        }
    }

    /// What the GPUs of a block do that are up and work in no slot.
    fn duty_without_slot(block: Block) -> Duty {
        match (block.is_leftover, block.missing) {
            (true, _) => Duty::Leftover,
            (false, 0) => Duty::Spare,
            (false, _) => Duty::CutOff,
        }
    }

    /// What the GPUs of a tensor group of a slot do.
    fn duty_of_group(&self, shape: &PoolShape, slot: u32, group: u32) -> Duty {
        match self.part(shape, slot, group) {
            NONE => Duty::Leftover,
            part => self.duty_of_part(part),
        }
    }

    /// What the GPUs of a part do that are up.
    fn duty_of_part(&self, part: u32) -> Duty {
        if self.parts.is_on(part) {
            Duty::Held
        } else {
            Duty::CutOff
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
        let part = self.part(shape, block.slot, group);
        if part != NONE && self.parts.works(part) {
            loss.is_held = true;
            loss.is_of_whole |= self.parts.vacant(part) == 0;
            parts.push(part);
        }
        if state.gpus > 0 {
            gpu + 1
        } else {
            (group + 1) * shape.tensor - first
        }
    }

    /// Reads what the next failures of a kind will need, for all of them at once.
    ///
    /// The state of a large cluster is beyond the caches: one failure waits for memory several
    /// times, each time for an address that it has just read. Many wait together for as long.
    pub fn read_ahead(&self, failures: &UnitFailures, units: impl Iterator<Item = u32>) {
        let Some(pool) = failures.pool() else { return };
        let shape = &self.shape.pools[pool];
        for unit in units {
            let first_gpu = u64::from(unit) * u64::from(failures.unit_gpus());
            let number = (first_gpu / u64::from(shape.node_gpus)) as u32;
            let place = self.nodes[(shape.base.node + number) as usize].place;
            if place == NONE {
                continue;
            }
            let slot = self.blocks[self.shape.block_of(shape, place) as usize].slot;
            if slot != NONE {
                black_box((self.block_of_slot[slot as usize], self.most_vacant(slot)));
            }
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
        self.ledgers[pool].count_down(self.now_s, !is_up);
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
        match home {
            Some(place) if self.is_open(place) => self.attach(pool, node, place),
            _ => self.vacancies[pool].add_node(),
        }
    }

    /// Whether no node that is up works at a place.
    fn is_open(&self, place: u32) -> bool {
        let node = self.node_at[place as usize];
        node == NONE || !self.nodes[node as usize].is_up()
    }

    /// Puts a node that is up and has no place at an open one, which a node that is down leaves.
    fn attach(&mut self, pool: usize, node: u32, place: u32) {
        let before = self.node_at[place as usize];
        if before != NONE {
            self.take(before);
            self.nodes[before as usize].place = NONE;
            self.put(before);
        }
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
            self.take_block(block);
        }
        self.blocks[block as usize].missing = missing;
        if counts_again {
            self.put_block(block);
        }
        if state.slot != NONE && loses {
            let slot = state.slot - self.shape.pools[pool].base.slot;
            self.vacancies[pool].add_slot(slot);
        }
        if !turns {
            return;
        }
        if state.slot != NONE {
            self.add_vacant(state.slot, loses);
        } else if is_spare && !loses {
            self.add_free(pool, block);
        }
    }

    fn each_node(&mut self, block: u32, act: impl Fn(&mut Self, u32)) {
        let first = self.shape.first_place(block);
        for place in first..first + self.shape.of_block(block).block_nodes {
            let node = self.node_at[place as usize];
            if node != NONE {
                act(self, node);
            }
        }
    }

    /// A block is free and whole.
    fn add_free(&mut self, pool: usize, block: u32) {
        let number = block - self.shape.pools[pool].base.block;
        self.vacancies[pool].add_block(number);
    }

    /// A slot has lost its block, or has a whole one again.
    fn add_vacant(&mut self, slot: u32, loses: bool) {
        for &part in self.shape.parts_of_slot.of(slot) {
            if loses {
                self.parts.lose(part);
            } else {
                self.parts.regain(part);
            }
        }
    }

    /// Fills places and slots from the nodes of their domains and the spares of their pools;
    /// returns whether any was filled by another node.
    ///
    /// While the job runs, slots of parts that work are left as they are.
    pub fn assign(&mut self, runs: bool) -> bool {
        let mut swaps = false;
        for pool in 0..self.vacancies.len() {
            let base = self.shape.pools[pool].base.slot;
            let mut wanted = self.vacancies[pool].take_wanted();
            if wanted.len() > 1 {
                wanted.sort_unstable_by_key(|&slot| (self.most_vacant(base + slot), slot));
                wanted.dedup();
            }
            for number in wanted {
                let slot = base + number;
                let block = self.block_of_slot[slot as usize];
                if self.blocks[block as usize].missing == 0 {
                    continue;
                }
                if runs && self.works(slot) {
                    self.vacancies[pool].add_slot(number);
                    continue;
                }
                swaps |= self.fill(pool, block);
                if self.blocks[block as usize].missing == 0 {
                    continue;
                }
                if let Some(spare) = self.next_spare(pool) {
                    self.swap(pool, slot, block, spare);
                    swaps = true;
                } else {
                    self.vacancies[pool].leave_vacant(number);
                }
            }
        }
        swaps
    }

    /// Whether any part of a slot works in the job.
    fn works(&self, slot: u32) -> bool {
        let parts = self.shape.parts_of_slot.of(slot);
        parts.iter().any(|&part| self.parts.works(part))
    }

    /// Vacant slots of the part of a slot that lacks most.
    fn most_vacant(&self, slot: u32) -> u32 {
        let parts = self.shape.parts_of_slot.of(slot).iter();
        parts
            .map(|&part| self.parts.vacant(part))
            .max()
            .unwrap_or(0)
    }

    /// Puts free nodes of its domain at the open places of a block; returns whether there were any.
    fn fill(&mut self, pool: usize, block: u32) -> bool {
        let shape = &self.shape.pools[pool];
        if !shape.has_stand_ins() {
            return false;
        }
        let first = self.shape.first_place(block);
        let mut fills = false;
        for place in first..first + shape.block_nodes {
            if !self.is_open(place) {
                continue;
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
        let first = shape.base.node + block / shape.domain_blocks * shape.domain_nodes;
        (first..first + shape.domain_nodes).find(|&node| {
            let state = self.nodes[node as usize];
            state.is_up() && state.place == NONE && shape.is_of_use(node - shape.base.node)
        })
    }

    /// The spare block that has been free for longest.
    fn next_spare(&mut self, pool: usize) -> Option<u32> {
        let base = self.shape.pools[pool].base.block;
        while let Some(number) = self.vacancies[pool].next_block() {
            let state = self.blocks[(base + number) as usize];
            if state.missing == 0 && state.slot == NONE {
                return Some(base + number);
            }
        }
        None
    }

    /// Lets a spare block work as a slot instead of another one.
    fn swap(&mut self, pool: usize, slot: u32, old: u32, new: u32) {
        for block in [old, new] {
            self.take_block(block);
        }
        self.blocks[old as usize].slot = NONE;
        self.blocks[new as usize].slot = slot;
        self.block_of_slot[slot as usize] = new;
        for block in [old, new] {
            self.put_block(block);
        }
        self.add_vacant(slot, false);
        if self.blocks[old as usize].missing == 0 {
            self.add_free(pool, old);
        }
    }

    /// Lets all parts work that are whole.
    pub fn switch_on(&mut self) {
        for part in self.parts.take_ready() {
            self.switch_on_part(part);
        }
    }

    /// Lets a part work if it is whole and does not; returns whether it does so from now on.
    pub fn switch_on_part(&mut self, part: u32) -> bool {
        let turns = self.parts.is_ready(part);
        if turns {
            self.switch(part, true);
        }
        turns
    }

    /// Lets the job go on without the parts that are not whole.
    pub fn switch_off(&mut self) {
        for part in self.parts.doomed().to_vec() {
            self.switch(part, false);
        }
    }

    /// Lets the job go on without the parts that were to leave.
    pub fn switch_off_leaving(&mut self) {
        for part in self.parts.take_leaving() {
            self.switch(part, false);
        }
    }

    fn switch(&mut self, part: u32, is_on: bool) {
        let shape = self.shape;
        let slots = shape.slots_of_part.of(part);
        for &slot in slots {
            self.take_block(self.block_of_slot[slot as usize]);
        }
        self.parts.set_on(part, is_on);
        for &slot in slots {
            self.put_block(self.block_of_slot[slot as usize]);
        }
    }
}
