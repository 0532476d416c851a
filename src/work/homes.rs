//! Which partitions are a worker's own: those whose index, modulo the number of workers, is its own, in every
//! generation. It goes round among them, so that none starves beside a busy one.
//!
//! When the number of workers is not fixed by whoever started it, it is N, and follows N while the worker runs. A worker
//! whose index is beyond a new N is *surplus*: it finishes its partitions of the older generations, which get no new
//! rows, and ends.

use crate::task::{Partition, Plan};

/// What one worker knows of its place among the others.
#[derive(Debug)]
pub(super) struct Homes {
    index: u32,
    fixed: Option<u32>,
    workers: u32,
    newest: i64,
}

impl Homes {
    /// Worker `index` of `fixed` workers, or of as many as there are partitions.
    pub(super) fn new(index: u32, fixed: Option<u32>, plan: &Plan) -> Homes {
        let mut homes = Homes { index, fixed, workers: 0, newest: 0 };
        homes.follow(plan);
        homes
    }

    /// Takes note of the plan as it is now; whether the number of workers is another one than before.
    pub(super) fn follow(&mut self, plan: &Plan) -> bool {
        let workers = self.fixed.unwrap_or(plan.current().partitions);
        self.newest = plan.current().number;
        std::mem::replace(&mut self.workers, workers) != workers
    }

    /// How many workers there are to be.
    pub(super) fn workers(&self) -> u32 {
        self.workers
    }

    /// Whether the worker is beyond their number.
    pub(super) fn is_surplus(&self) -> bool {
        self.fixed.is_none() && self.index >= self.workers
    }

    /// Whether a partition is the worker's own.
    pub(super) fn is_own(&self, partition: Partition) -> bool {
        if self.is_surplus() {
            return partition.index == self.index && partition.generation < self.newest;
        }
        partition.index % self.workers.max(1) == self.index
    }

    /// In which order to look at the partitions that have work: its own first, beginning after the `last` one that it
    /// worked on, and whether there are such; then those of others, unless it is surplus.
    pub(super) fn order(&self, waiting: Vec<Partition>, last: Option<Partition>) -> (Vec<Partition>, Vec<Partition>) {
        let (mut own, mut others): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|p| self.is_own(*p));
        let after = own.iter().position(|p| Some(*p) > last).unwrap_or(0);
        own.rotate_left(after);
        if self.is_surplus() {
            others.clear();
        }
        (own, others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Generation;

    fn plan(sizes: &[u32]) -> Plan {
        let generations =
            sizes.iter().zip(1..).map(|(n, number)| Generation { number, first_id: number * 100, partitions: *n });
        Plan::new(generations.collect()).unwrap()
    }

    fn at(generation: i64, index: u32) -> Partition {
        Partition { generation, index }
    }

    #[test]
    fn every_partition_is_the_own_of_exactly_one_worker_that_stays() {
        for (sizes, fixed) in [(&[10, 3, 7][..], None), (&[10, 3], Some(4)), (&[3, 100], None), (&[4], Some(9))] {
            let plan = plan(sizes);
            let workers = fixed.unwrap_or(plan.current().partitions);
            let homes: Vec<Homes> = (0..workers).map(|index| Homes::new(index, fixed, &plan)).collect();
            for partition in plan.all() {
                assert_eq!(homes.iter().filter(|h| h.is_own(partition)).count(), 1, "{sizes:?} {partition:?}");
            }
            assert!(homes.iter().all(|h| !h.is_surplus()));
        }
    }

    #[test]
    fn a_surplus_worker_keeps_what_gets_no_new_rows() {
        let mut homes = Homes::new(5, None, &plan(&[10]));
        assert!(homes.is_own(at(1, 5)) && !homes.is_surplus());
        assert!(homes.follow(&plan(&[10, 3])));
        assert!(homes.is_surplus() && homes.is_own(at(1, 5)) && !homes.is_own(at(1, 8)) && !homes.is_own(at(2, 2)));
        assert_eq!(homes.order(vec![at(1, 4), at(1, 5), at(2, 0)], None), (vec![at(1, 5)], vec![]));
        assert!(homes.follow(&plan(&[10, 3, 7])) && !homes.is_surplus() && homes.is_own(at(3, 5)));
        assert!(!homes.follow(&plan(&[10, 3, 7])), "nothing new");
    }

    #[test]
    fn its_own_come_first_and_take_turns() {
        let homes = Homes::new(1, None, &plan(&[6, 3]));
        let waiting = || vec![at(1, 0), at(1, 1), at(1, 4), at(2, 1), at(2, 2)];
        let others = vec![at(1, 0), at(2, 2)];
        assert_eq!(homes.order(waiting(), None), (vec![at(1, 1), at(1, 4), at(2, 1)], others.clone()));
        assert_eq!(homes.order(waiting(), Some(at(1, 1))), (vec![at(1, 4), at(2, 1), at(1, 1)], others.clone()));
        assert_eq!(homes.order(waiting(), Some(at(2, 1))), (vec![at(1, 1), at(1, 4), at(2, 1)], others));
    }
}
