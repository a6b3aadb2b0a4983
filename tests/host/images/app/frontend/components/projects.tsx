import { getProjects, type Status } from "../lib/api";

const STATUS: Record<Status, string> = {
  planning: "Em planejamento",
  production: "Em produção",
  delivered: "Entregue",
};

const date = new Intl.DateTimeFormat("pt-BR", { dateStyle: "long", timeZone: "America/Sao_Paulo" });

export async function Projects() {
  const projects = await getProjects();
  if (projects === null) {
    return <p role="alert">Não foi possível carregar os projetos agora. Tente novamente em instantes.</p>;
  }
  if (projects.length === 0) {
    return <p>Ainda não há projetos.</p>;
  }
  return (
    <ul className="cards">
      {projects.map((project) => (
        <li key={project.id} className="card">
          <h3>{project.title}</h3>
          <p>{project.client}</p>
          <p className="meta">
            <span className={`badge ${project.status}`}>{STATUS[project.status]}</span>
            <time dateTime={project.created_at}>{date.format(new Date(project.created_at))}</time>
          </p>
        </li>
      ))}
    </ul>
  );
}
