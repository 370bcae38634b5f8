//! The order of a service's servers, by which schedulers that choose by a table fill it.

/// What of `want` has to be deleted and added again for `have` to stand in the order of `want`: the fewest. Both are in the
/// order of addition. What is added is always the last, so that only the first of `want` can stay, and only as far as they
/// stand in the right order already.
pub(super) fn moved<'w, T: PartialEq>(have: &[T], want: &'w [T]) -> &'w [T] {
    let mut rest = have.iter();
    let stay = want.iter().take_while(|wanted| rest.any(|one| one == *wanted)).count();
    &want[stay..]
}

#[cfg(test)]
mod tests {
    use super::moved;

    /// What is moved, and what the list is then.
    fn after(have: &[u8], want: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let moved = moved(have, want).to_vec();
        let stay = have.iter().filter(|one| !moved.contains(one)).copied();
        (moved.clone(), stay.chain(moved.clone()).collect())
    }

    #[test]
    fn as_few_as_possible_are_moved() {
        assert_eq!(after(&[1, 2, 3], &[1, 2, 3]).0, []);
        assert_eq!(after(&[2, 1, 3], &[1, 2, 3]).0, [2, 3]);
        assert_eq!(after(&[2, 3, 1], &[1, 2, 3]).0, [2, 3]);
        assert_eq!(after(&[1, 3, 2], &[1, 2, 3]).0, [3]);
        // One that is to go stays where it is until then.
        assert_eq!(after(&[9, 1, 2], &[1, 2]), (vec![], vec![9, 1, 2]));
    }

    /// All orders of up to five, and all sets that could be moved instead.
    #[test]
    fn no_smaller_set_gives_the_order() {
        fn orders(of: &[u8]) -> Vec<Vec<u8>> {
            if of.is_empty() {
                return vec![Vec::new()];
            }
            let with = |first: &u8| {
                let rest: Vec<u8> = of.iter().filter(|one| *one != first).copied().collect();
                orders(&rest).into_iter().map(|rest| [&[*first], &rest[..]].concat()).collect::<Vec<_>>()
            };
            of.iter().flat_map(with).collect()
        }
        let want = [1, 2, 3, 4, 5];
        for have in orders(&want) {
            let (moved, now) = after(&have, &want);
            assert_eq!(now, want, "{have:?}");
            for set in 0..1_u32 << want.len() {
                let is_moved = |one: &&u8| set >> (*one - 1) & 1 == 1;
                let stay = have.iter().filter(|one| !is_moved(one)).copied();
                // In whatever order they are added again, the best is the one that is wanted.
                let now: Vec<u8> = stay.chain(want.iter().filter(is_moved).copied()).collect();
                assert!(now != want || set.count_ones() as usize >= moved.len(), "{have:?}: {set:b}");
            }
        }
    }
}
