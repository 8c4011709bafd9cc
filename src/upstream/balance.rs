//! Chooses the endpoint of a try. Pure: it sees states and returns a position, so every policy can
//! be tested without sockets.

use super::endpoint::EndpointState;

/// The position of the endpoint to try next: the one with the fewest failures of this request, then
/// the healthier one, then the first one in the file. `None` only without endpoints.
pub(super) fn pick(states: impl IntoIterator<Item = EndpointState>) -> Option<usize> {
    let states = states.into_iter().enumerate();
    let best = states.min_by_key(|(_, state)| *state)?;
    Some(best.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::endpoint::Health;

    const UP: Health = Health::Up;
    const DOWN: Health = Health::ConnectFailed;

    fn picked(states: &[(usize, Health)]) -> Option<usize> {
        let state = |&(failures, health)| EndpointState { failures, health };
        pick(states.iter().map(state))
    }

    #[test]
    fn the_only_endpoint_is_picked_in_any_state() {
        assert_eq!(picked(&[]), None);
        for state in [(0, UP), (0, DOWN), (3, DOWN)] {
            assert_eq!(picked(&[state]), Some(0));
        }
    }

    #[test]
    fn the_first_healthy_endpoint_is_picked() {
        assert_eq!(picked(&[(0, UP), (0, UP)]), Some(0));
        assert_eq!(picked(&[(0, DOWN), (0, UP), (0, UP)]), Some(1));
        assert_eq!(picked(&[(0, DOWN), (0, DOWN)]), Some(0));
    }

    #[test]
    fn a_retry_goes_to_the_endpoint_with_the_fewest_failures() {
        assert_eq!(picked(&[(1, UP), (0, DOWN)]), Some(1));
        assert_eq!(picked(&[(1, UP), (1, UP)]), Some(0));
        assert_eq!(picked(&[(2, UP), (1, UP), (1, DOWN)]), Some(1));
    }
}
