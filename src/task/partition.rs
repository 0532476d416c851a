//! Partition arithmetic: which rows belong to which worker, whatever N was or becomes.
//!
//! A row's partition follows from its id alone: the generation is the range of ids it lies in, and within it the
//! partition is `id mod N`. A change of N starts a new range, so no row ever changes its partition.

/// A range of ids that share one N.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generation {
    /// Its number: 1, 2, …
    pub number: i64,
    /// The first id that belongs to it.
    pub first_id: i64,
    /// N, the number of partitions: 1 to 4096.
    pub partitions: u32,
}

/// The rows of one generation with `id mod N = index`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    /// The number of its generation.
    pub generation: i64,
    /// `id mod N`: 0 to N - 1.
    pub index: u32,
}

/// All generations of a database, oldest first; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    generations: Vec<Generation>,
}

impl Plan {
    /// A plan of `generations`, oldest first. `None` when there is none, or one has no partition.
    pub fn new(generations: Vec<Generation>) -> Option<Plan> {
        let sound = !generations.is_empty() && generations.iter().all(|g| g.partitions > 0);
        sound.then_some(Plan { generations })
    }

    /// The generation that new rows enter.
    pub fn current(&self) -> Generation {
        self.generations[self.generations.len() - 1]
    }

    /// The partition of a row. Ids below the first generation's range belong to that generation.
    pub fn partition_of(&self, id: i64) -> Partition {
        let found = self.generations.iter().rev().find(|g| g.first_id <= id);
        let g = found.unwrap_or(&self.generations[0]);
        let index = id.rem_euclid(i64::from(g.partitions));
        Partition { generation: g.number, index: u32::try_from(index).unwrap_or(0) }
    }

    /// Every partition of every generation, oldest generation first.
    pub fn all(&self) -> impl Iterator<Item = Partition> {
        self.generations.iter().flat_map(|g| (0..g.partitions).map(|index| Partition { generation: g.number, index }))
    }

    /// The worker whose home this partition is: its own index, while that many workers are wanted.
    pub fn home_of(&self, partition: Partition, workers: u32) -> u32 {
        partition.index % workers.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plan(sizes: &[(i64, u32)]) -> Plan {
        let generations =
            sizes.iter().zip(1..).map(|(&(first_id, partitions), number)| Generation { number, first_id, partitions });
        Plan::new(generations.collect()).unwrap()
    }

    #[test]
    fn an_id_keeps_its_partition_when_n_changes() {
        let before = plan(&[(0, 10)]);
        let after = plan(&[(0, 10), (1000, 3)]);
        for id in 1..1000 {
            assert_eq!(before.partition_of(id), after.partition_of(id));
        }
        assert_eq!(after.partition_of(1000), Partition { generation: 2, index: 1 });
    }

    proptest! {
        #[test]
        fn every_id_has_exactly_one_partition_of_the_plan(
            id in 1i64..i64::MAX,
            n in 1u32..4096,
            m in 1u32..4096,
            split in 1i64..i64::MAX,
        ) {
            let plan = plan(&[(0, n), (split, m)]);
            let p = plan.partition_of(id);
            let expected = if id < split { (1, id % i64::from(n)) } else { (2, id % i64::from(m)) };
            prop_assert_eq!((p.generation, i64::from(p.index)), expected);
            prop_assert_eq!(plan.all().filter(|q| *q == p).count(), 1);
        }
    }

    #[test]
    fn a_plan_without_partitions_is_refused() {
        assert_eq!(Plan::new(vec![]), None);
        assert_eq!(Plan::new(vec![Generation { number: 1, first_id: 0, partitions: 0 }]), None);
    }
}
