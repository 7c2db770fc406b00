//! To which server a request goes.

/// To which server a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routing {
    /// To one after another.
    RoundRobin,
    /// To the one with the fewest requests, waiting or in service; of several to the first.
    LeastLoaded,
    /// To the one that would give it tokens fastest.
    SpeedAware,
}

impl Routing {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::RoundRobin, Self::LeastLoaded, Self::SpeedAware];
    /// Their names, in the same order.
    pub const NAMES: [&'static str; 3] = ["round-robin", "least-loaded", "speed-aware"];
}

/// Keys of servers, of which the least is known at any time: a tournament, in which each match
/// is won by the lesser key, and by the first of two that are equal.
pub(super) struct Tournament {
    keys: Vec<f64>,
    /// Winners, from the last match on: that of places `2 k` and `2 k + 1` is in place `k`. Servers
    /// are in the second half.
    winners: Vec<u32>,
    /// Places of the second half.
    size: usize,
}

impl Tournament {
    pub fn new(keys: Vec<f64>) -> Self {
        let size = keys.len().next_power_of_two();
        let mut winners = vec![u32::MAX; 2 * size];
        for (server, place) in winners[size..].iter_mut().take(keys.len()).enumerate() {
            *place = server as u32;
        }
        let mut tournament = Self {
            keys,
            winners,
            size,
        };
        for place in (1..size).rev() {
            tournament.play(place);
        }
        tournament
    }

    /// The server with the least key.
    pub fn first(&self) -> usize {
        self.winners[1] as usize
    }

    /// Gives a server another key.
    pub fn set(&mut self, server: usize, key: f64) {
        self.keys[server] = key;
        let mut place = (self.size + server) / 2;
        while place > 0 {
            self.play(place);
            place /= 2;
        }
    }

    fn play(&mut self, place: usize) {
        let [a, b] = [self.winners[2 * place], self.winners[2 * place + 1]];
        let key = |server: u32| self.keys.get(server as usize).copied();
        // A place without a server loses.
        let second_wins = match (key(a), key(b)) {
            (Some(a), Some(b)) => b < a,
            (None, Some(_)) => true,
            _ => false,
        };
        self.winners[place] = if second_wins { b } else { a };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tournament_knows_the_first_of_the_least_keys() {
        for n in 1..40_usize {
            let mut keys: Vec<f64> = (0..n).map(|k| ((k * 7 + 3) % 5) as f64).collect();
            let mut tournament = Tournament::new(keys.clone());
            for turn in 0..200 {
                let least = keys.iter().copied().fold(f64::INFINITY, f64::min);
                let first = keys.iter().position(|&key| key == least).unwrap();
                assert_eq!(tournament.first(), first, "{n} {turn}");
                let (server, key) = ((turn * 11) % n, ((turn * 13) % 17) as f64);
                keys[server] = key;
                tournament.set(server, key);
            }
        }
    }
}
