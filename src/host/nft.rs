//! Rules of the packet filter as nft(8) prints them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use packet_filter::Place;

use super::program;

/// The rules of chains, printed by nft when they are first asked for.
#[derive(Debug)]
pub struct Listings {
    /// `None` if nft is not installed.
    program: Option<PathBuf>,
    /// What nft printed, by family, table and chain.
    chains: BTreeMap<[String; 3], String>,
}

impl Default for Listings {
    fn default() -> Self {
        Self::new()
    }
}

impl Listings {
    /// Nothing has been asked yet.
    #[must_use]
    pub fn new() -> Self {
        Self { program: program::find("nft"), chains: BTreeMap::new() }
    }

    /// A place in words: the rule as nft prints it, after its chain. Where nft is not installed, does not list the rule, or
    /// there is none as in a policy, it is what the evaluator knows of the place.
    pub fn words(&mut self, place: &Place) -> String {
        let Place { family, table, chain, .. } = place;
        match self.rule(place) {
            Some(rule) => format!("{family} {table} {chain}: {rule}"),
            None => place.to_string(),
        }
    }

    /// The rule as nft prints it, with its handle.
    fn rule(&mut self, place: &Place) -> Option<String> {
        let handle = place.handle?;
        let words = place.chain_words()?;
        let program = self.program.as_ref()?;
        let listing = self.chains.entry(words).or_insert_with_key(|words| {
            let output = program::command(program).args(["-a", "list", "chain"]).args(words).output();
            let printed = output.ok().filter(|output| output.status.success()).map(|output| output.stdout);
            String::from_utf8_lossy(&printed.unwrap_or_default()).into_owned()
        });
        find(listing, handle).map(str::to_owned)
    }
}

/// The rule with this handle in what `nft -a list chain` prints.
fn find(listing: &str, handle: u64) -> Option<&str> {
    let end = format!(" # handle {handle}");
    // A table's or chain's first line ends so, too; a table's handle may also be a rule's.
    let is_rule = |line: &&str| line.strip_suffix(&end).is_some_and(|rule| !rule.ends_with('{'));
    // A rule's comment holds what its author wants, also what moves a terminal's cursor.
    listing.lines().map(str::trim).find(is_rule).filter(|rule| !rule.chars().any(char::is_control))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_found_by_their_handles() {
        let listing = "table inet f { # handle 4\n\tchain i { # handle 1\n\t\ttype filter hook input priority filter; policy \
                       accept;\n\t\ttcp dport { 80, 443 } counter packets 0 bytes 0 drop # handle 14\n\t\tudp dport 53 \
                       comment \"no # handle 5\" drop # handle 4\n\t\tdrop comment \"\u{1b}[2J\" # handle 6\n\t}\n}\n";
        assert_eq!(find(listing, 14), Some("tcp dport { 80, 443 } counter packets 0 bytes 0 drop # handle 14"));
        assert_eq!(find(listing, 4), Some("udp dport 53 comment \"no # handle 5\" drop # handle 4"));
        for handle in [1, 5, 6, 44] {
            assert_eq!(find(listing, handle), None, "{handle}");
        }
    }
}
