//! Whether a camera fits beside others: those of the file, or those that run when one is created.

use super::camera::CameraSpec;
use super::tenant::TenantSpec;
use crate::config::Config;

impl Config {
    /// Why `camera` can't run beside `others`, if it can't.
    pub fn objection<'a>(
        &self,
        camera: &CameraSpec,
        others: impl IntoIterator<Item = &'a CameraSpec>,
    ) -> Option<String> {
        let tenant = &camera.tenant;
        if !self.knows(tenant) {
            return Some(format!("unknown tenant `{tenant}`; add [[tenants]] with that id"));
        }
        let own = self.topics_of(camera);
        let again = |(at, it): &(usize, &(&str, &str))| own.iter().take(*at).any(|b| b == *it);
        if let Some((_, (_, topic))) = own.iter().enumerate().find(again) {
            return Some(format!("`{topic}` can't be both its input and its output"));
        }
        if let Some((_, topic)) = own.iter().find(|(_, topic)| self.topics.is_of_control(topic)) {
            return Some(format!("`{topic}` is a topic of control, and can't be a camera's"));
        }
        for other in others {
            if other.id == camera.id {
                return Some("there is another camera with this id; ids are unique".into());
            }
            let theirs = self.topics_of(other);
            if let Some((_, topic)) = own.iter().find(|topic| theirs.contains(topic)) {
                // One tenant is not told of another's cameras.
                let user = match other.tenant == camera.tenant {
                    true => format!("by camera `{}`", other.id),
                    false => "by another camera".to_owned(),
                };
                return Some(format!(
                    "the topic `{topic}` is used already, {user}; each camera needs topics of its \
                     own, so put `:cam_id` into [topics]"
                ));
            }
        }
        None
    }

    /// Why the topics of `camera`, which its tenant has named by an id, might be another tenant's,
    /// if they might: with `raw_:tenant_:cam_id`, camera `b_x` of tenant `a` and `x` of `a_b` have
    /// the same.
    #[must_use]
    pub fn ambiguity(&self, camera: &CameraSpec) -> Option<String> {
        let topics = [&camera.consume_topic, &camera.produce_topic];
        let mut others = self.tenants.iter().filter(|other| other.id != camera.tenant);
        let is_theirs = |other: &TenantSpec| {
            topics.iter().any(|topic| self.topics.could_be_of(topic, &other.id))
        };
        let id = &camera.id;
        others.any(is_theirs).then(|| {
            format!("the topics of `{id}` could be those of another camera; choose another id")
        })
    }

    /// Why `camera` is one too many beside `others`, if it is.
    pub fn excess<'a>(
        &self,
        camera: &CameraSpec,
        others: impl IntoIterator<Item = &'a CameraSpec>,
    ) -> Option<String> {
        let tenant = self.tenant(&camera.tenant);
        let (mut all, mut own) = (0_u32, 0_u32);
        for other in others {
            all += 1;
            own += u32::from(other.tenant == camera.tenant);
        }
        if let Some(most) = tenant.quota.cameras.filter(|most| own >= *most) {
            let id = &tenant.id;
            return Some(format!("tenant `{id}` has {own} cameras, and its quota is {most}"));
        }
        // How many others have is not told.
        let most = self.quota.cameras.filter(|most| all >= *most)?;
        Some(format!("this host has all the cameras it takes, {most}; see [quota] `cameras`"))
    }

    /// A camera's topics, each with the address of its cluster.
    fn topics_of<'a>(&'a self, camera: &'a CameraSpec) -> Vec<(&'a str, &'a str)> {
        let [consume, produce] = self.clusters_of(&camera.tenant);
        let outputs = camera.output_topics().map(|topic| (&*produce.bootstrap_servers, topic));
        let input = (&*consume.bootstrap_servers, &*camera.consume_topic);
        [input].into_iter().chain(outputs).collect()
    }
}
