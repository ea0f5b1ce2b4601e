//! Projects, as a user asks the coordinator for them.

use proto::v1::{
    AdmitRequest, Project, ProjectReport, ProjectRequest, ProjectSummary, ProjectsRequest,
};
use tonic::{Response, Status};

use super::{Client, LIST_WAIT};
use crate::exit::Failure;

impl Client {
    /// Makes a project.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub async fn create_project(&self, project: Project) -> Result<ProjectReport, Failure> {
        let mut service = self.service();
        self.listed(service.create_project(project)).await
    }

    /// Asks a project's owner to become a member.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub async fn join_project(&self, name: &str) -> Result<ProjectReport, Failure> {
        let mut service = self.service();
        self.listed(service.join_project(ProjectRequest { name: name.to_owned() })).await
    }

    /// Takes `member` into an own project, or says no.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub async fn admit_member(
        &self,
        name: &str,
        member: &str,
        decline: bool,
    ) -> Result<ProjectReport, Failure> {
        let (name, member) = (name.to_owned(), member.to_owned());
        let mut service = self.service();
        self.listed(service.admit_member(AdmitRequest { name, member, decline })).await
    }

    /// A project, and how far each hospital is with it.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub async fn show_project(&self, name: &str) -> Result<ProjectReport, Failure> {
        let mut service = self.service();
        self.listed(service.show_project(ProjectRequest { name: name.to_owned() })).await
    }

    /// The region's projects, by name.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub async fn projects(&self) -> Result<Vec<ProjectSummary>, Failure> {
        let mut service = self.service();
        Ok(self.listed(service.projects(ProjectsRequest {})).await?.projects)
    }

    async fn listed<T>(
        &self,
        asking: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Failure> {
        let answered = async { asking.await.map_err(|status| self.failure(&status)) };
        Ok(self.within(LIST_WAIT, answered).await?.into_inner())
    }
}
