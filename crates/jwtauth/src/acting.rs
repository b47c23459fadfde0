//! Sessions in which a user acts as another one, and the sessions that replace them at the end.

use std::time::Duration;

use aws_lc_rs::digest;

use crate::{Authentication, Generation, RotationPolicy, Session, Sid, UnixTime, session::SID_CLAIM_LENGTH};

impl RotationPolicy {
    /// Return the row of a session that starts at `now`, and in which the user of the session `own` acts as another
    /// user. It ends after `lifetime`, used or not, and never later than `own` would. Fractions of a second are ignored.
    /// It is bound to the same device as `own`.
    ///
    /// The row stores when the tokens of `own` say that its user authenticated, for [`stop_acting`](Self::stop_acting).
    /// The tokens of the new session must not say it, since neither user has authenticated in it.
    pub fn start_acting(&self, own: &Session, said: &Authentication, lifetime: Duration, now: UnixTime) -> Session {
        let left = own.expires_at.saturating_duration_since(now);
        let lifetime = lifetime.min(left).max(Duration::from_secs(1));
        Session { expires_at: now + lifetime, end_is_fixed: true, ..self.start_beside(own, now) }
            .with_auth_time(Some(said.time))
    }

    /// Return the row that replaces `own` at `now`, when its user stops acting in the session `acting`. The name is
    /// [`Sid::after_acting`]. Its tokens say nothing younger than those with which acting began.
    ///
    /// It is not acknowledged. If the response is lost, the same session may be given again while it [is
    /// unused](Session::is_unused).
    pub fn stop_acting(&self, own: &Session, acting: &Session, now: UnixTime) -> Session {
        let given = self.succeed(own, now).with_auth_time(acting.auth_time).with_acknowledged_at(None);
        // Both sessions are refreshed by proofs of one key, so the later proof counts.
        let proven_at =
            if own.device.is_of_browser() { own.rotated_at.max(acting.rotated_at) } else { given.rotated_at };
        Session { rotated_at: proven_at, ..given }
    }
}

impl Session {
    /// Return whether a token of this generation may stop acting in this session: one of the newest generation, or of
    /// the one before, whose successor may have been lost with a response.
    pub fn may_stop_acting(&self, presented: Generation) -> bool {
        self.generation.checked_distance_from(presented).is_none_or(|behind| behind <= 1)
    }

    /// Return whether no token of this session, which started without being acknowledged, was used yet.
    pub fn is_unused(&self) -> bool {
        self.generation == Generation::FIRST && self.acknowledged_at.is_none()
    }
}

impl Sid {
    /// Return the name of the session that replaces the acting session of this name, if it ends in this generation.
    /// Only who has a token of the acting session can derive it, and derives the same name again.
    #[must_use]
    pub fn after_acting(&self, generation: Generation) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(b"jwtauth.stop_acting");
        context.update(self.expose_secret(&mut [0; SID_CLAIM_LENGTH]).as_bytes());
        context.update(&generation.get().to_be_bytes());
        let mut secret = [0; 16];
        secret.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
        let began = self.session_id().get_timestamp().map_or(0, |time| time.to_unix().0);
        Self::derived(secret, UnixTime::from_secs(began))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Lifetimes, Methods};

    const DAY: Duration = Duration::from_secs(86_400);
    const LOGIN: UnixTime = UnixTime::from_secs(1_700_000_000);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn policy() -> RotationPolicy {
        let lifetimes = Lifetimes::new(seconds(300), DAY, Some(30 * DAY)).unwrap();
        RotationPolicy::new(lifetimes, seconds(30)).with_lock_after(Some(seconds(900)))
    }

    fn said(time: UnixTime) -> Authentication {
        Authentication::new(time, Methods::default())
    }

    #[test]
    fn acting_ends_after_its_lifetime_or_with_the_own_session() {
        let own = policy().start(LOGIN);
        for (lifetime, now, left) in [
            (seconds(3600), LOGIN, 3600),
            (seconds(3600), own.expires_at - seconds(60), 60),
            (seconds(3600), own.expires_at, 1),
            (Duration::ZERO, LOGIN, 1),
        ] {
            let acting = policy().start_acting(&own, &said(LOGIN), lifetime, now);
            assert_eq!((acting.expires_at, acting.end_is_fixed), (now + seconds(left), true));
            assert_eq!((acting.created_at, acting.locks_at), (now, Some(now + seconds(900))));
        }
    }

    #[test]
    fn session_given_back_is_as_old_as_the_own_and_says_nothing_younger() {
        let again = LOGIN + seconds(500);
        let own = policy().start(LOGIN).with_generation(Generation::new(5), LOGIN).with_auth_time(Some(again));
        let (began, now) = (LOGIN + seconds(600), LOGIN + seconds(700));
        let acting = policy().start_acting(&own, &said(LOGIN), seconds(3600), began);
        let given = policy().stop_acting(&own, &acting, now);
        let expected = policy().succeed(&own, now).with_auth_time(Some(LOGIN)).with_acknowledged_at(None);
        assert_eq!((given, given.created_at, given.generation), (expected, LOGIN, Generation::FIRST));
    }

    #[test]
    fn tokens_more_than_one_generation_behind_stop_nothing() {
        let acting = policy().start(LOGIN).with_generation(Generation::new(7), LOGIN);
        let may_stop = |generation| acting.may_stop_acting(Generation::new(generation));
        assert_eq!([0, 5, 6, 7, 8].map(may_stop), [false, false, true, true, true]);
    }

    #[test]
    fn session_is_unused_until_a_token_is_seen() {
        let given = policy().start(LOGIN).with_acknowledged_at(None);
        assert!(given.is_unused());
        assert!(!given.with_acknowledged_at(Some(LOGIN)).is_unused());
        assert!(!given.with_generation(Generation::new(2), LOGIN).is_unused());
    }

    #[test]
    fn name_after_acting_depends_on_name_and_generation() {
        let [one, other] = [1, 2].map(|byte| Sid::from_bytes([byte; 20]));
        let names = [(one, 1), (one, 2), (other, 1)].map(|(sid, number)| sid.after_acting(Generation::new(number)));
        assert_eq!(
            names,
            [(one, 1), (one, 2), (other, 1)].map(|(sid, number)| sid.after_acting(Generation::new(number)))
        );
        let mut ids: Vec<_> = names.iter().chain([&one, &other]).map(Sid::session_id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 5, "all names differ");
        // printf 'jwtauth.stop_actingAQEBAQEBAQEBAQEBAQEBAQEBAQE\0\0\0\0\0\0\0\1' | sha256sum
        let mut buffer = [0; SID_CLAIM_LENGTH];
        assert_eq!(names[0].expose_secret(&mut buffer), "AQEBAeTOcb2g8IV6Ei-PIxAx-s8");
        let began = |sid: Sid| sid.session_id().get_timestamp();
        assert_eq!(began(names[0]), began(one));
    }
}
