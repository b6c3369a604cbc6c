--
-- PostgreSQL database dump
--

\restrict LJMgt2VS7j9WYhGUvtsNOnaWSge2EdiCRcBgPZxKdQLREfBNhdrwIV5faoaN3Xa

-- Dumped from database version 18.4
-- Dumped by pg_dump version 18.4

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: agent_jobs; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.agent_jobs (
    id bigint NOT NULL,
    execution_id text NOT NULL,
    node text NOT NULL,
    item text NOT NULL COLLATE pg_catalog."C",
    state text NOT NULL,
    pending integer DEFAULT 0 NOT NULL,
    live integer DEFAULT 0 NOT NULL,
    attempt integer DEFAULT 0 NOT NULL,
    tries integer DEFAULT 0 NOT NULL,
    lost integer DEFAULT 0 NOT NULL,
    because text DEFAULT 'first'::text NOT NULL,
    owner text,
    lease double precision,
    due double precision DEFAULT '0'::double precision NOT NULL,
    output text,
    branch text,
    cache_key text,
    cached smallint DEFAULT '0'::smallint NOT NULL,
    provider text,
    model text,
    tokens integer,
    cost double precision,
    error_class text,
    error text,
    traceback text,
    started double precision,
    finished double precision
);


--
-- Name: agent_jobs_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.agent_jobs_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: agent_jobs_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.agent_jobs_id_seq OWNED BY public.agent_jobs.id;


--
-- Name: alembic_version; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);


--
-- Name: execution_events; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.execution_events (
    execution_id text NOT NULL,
    sequence integer NOT NULL,
    "time" double precision NOT NULL,
    kind text NOT NULL,
    node text,
    item text COLLATE pg_catalog."C",
    data text
);


--
-- Name: execution_functions; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.execution_functions (
    execution_id text NOT NULL,
    digest text NOT NULL,
    name text NOT NULL,
    python text NOT NULL,
    blob bytea NOT NULL,
    signature text NOT NULL
);


--
-- Name: execution_rows; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.execution_rows (
    execution_id text NOT NULL,
    "position" integer NOT NULL,
    label text NOT NULL,
    "values" text NOT NULL
);


--
-- Name: job_attempts; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.job_attempts (
    job_id bigint NOT NULL,
    number integer NOT NULL,
    because text NOT NULL,
    owner text NOT NULL,
    started double precision NOT NULL,
    finished double precision,
    outcome text,
    error_class text,
    error text
);


--
-- Name: rate_limits; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.rate_limits (
    key text NOT NULL,
    tat double precision DEFAULT '0'::double precision NOT NULL,
    since double precision DEFAULT '0'::double precision NOT NULL,
    held_until double precision DEFAULT '0'::double precision NOT NULL,
    count integer DEFAULT 0 NOT NULL,
    seconds double precision DEFAULT '0'::double precision NOT NULL
);


--
-- Name: review_decisions; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.review_decisions (
    job_id bigint NOT NULL,
    action text NOT NULL,
    by text NOT NULL,
    "time" double precision NOT NULL,
    before text NOT NULL,
    after text NOT NULL,
    comment text
);


--
-- Name: template_versions; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.template_versions (
    project text NOT NULL,
    name text NOT NULL,
    version integer NOT NULL,
    template_id text NOT NULL,
    created double precision NOT NULL
);


--
-- Name: workflow_executions; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.workflow_executions (
    id text NOT NULL,
    template_id text NOT NULL,
    name text NOT NULL,
    state text NOT NULL,
    epoch integer DEFAULT 0 NOT NULL,
    shape text NOT NULL,
    rows integer NOT NULL,
    total integer NOT NULL,
    done integer DEFAULT 0 NOT NULL,
    failed integer DEFAULT 0 NOT NULL,
    sequence integer DEFAULT 0 NOT NULL,
    max_parallel integer,
    error text,
    created double precision NOT NULL,
    started double precision,
    finished double precision,
    project text DEFAULT 'default'::text NOT NULL,
    submission_key text,
    submission_digest text
);


--
-- Name: workflow_templates; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.workflow_templates (
    id text NOT NULL,
    name text NOT NULL,
    version integer DEFAULT 0 NOT NULL,
    plan text NOT NULL,
    created double precision NOT NULL
);


--
-- Name: agent_jobs id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.agent_jobs ALTER COLUMN id SET DEFAULT nextval('public.agent_jobs_id_seq'::regclass);


--
-- Data for Name: agent_jobs; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.agent_jobs VALUES (6, 'finished-tpbi3w-4b243d85', 'kit', '0', 'completed', 0, 1, 1, 1, 0, 'first', 'vm:23598:d1f241ac', 1796046200.166356, 0, '{"title":"Written by hand","image":{"$artifact":"64bdd924c5354c16f5625a52ab1c605dab084f8c4a402be68e556eff1e3eac33","media_type":"image/png","size":2571,"width":96,"height":64}}', NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 1796046190.166356, 1796046190.198703);
INSERT INTO public.agent_jobs VALUES (2, 'finished-tpbi3w-4b243d85', 'line', '0.1', 'completed', 0, 0, 1, 1, 0, 'first', 'vm:23598:d1f241ac', 1796046199.882689, 0, '{"text":"Lamp keeps its best details for those who look twice. Ready when you are.","provider":"offline","model":"offline/copy-1","tokens":18,"cost":0.0}', NULL, 'dc625dbdb729f085d734a1555c8c0aa58427b6fba76fd538e9abde610faf1543', 0, 'offline', 'offline/copy-1', 18, 0, NULL, NULL, NULL, 1796046189.882689, 1796046189.916395);
INSERT INTO public.agent_jobs VALUES (1, 'finished-tpbi3w-4b243d85', 'line', '0.0', 'completed', 0, 0, 1, 1, 0, 'first', 'vm:23598:d1f241ac', 1796046199.80307, 0, '{"text":"Nothing about lamp is hurried, and it shows. Simple as that.","provider":"offline","model":"offline/copy-1","tokens":15,"cost":0.0}', NULL, '226e643b4fbe096a0bfda009e0db328c89830c962567b8996c883137e2707333', 0, 'offline', 'offline/copy-1', 15, 0, NULL, NULL, NULL, 1796046189.80307, 1796046189.947415);
INSERT INTO public.agent_jobs VALUES (24, 'paused-tpbi3y-2aa45af9', 'kit', '1', 'blocked', 1, 0, 0, 0, 0, 'first', NULL, NULL, 0, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.agent_jobs VALUES (25, 'failed-tpbi3y-059597c8', 'parsed', '0', 'completed', 0, 0, 1, 1, 0, 'first', 'vm:23598:d1f241ac', 1796046200.491262, 0, '{"value":{"lumen":800}}', NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 1796046190.491262, 1796046190.527862);
INSERT INTO public.agent_jobs VALUES (4, 'finished-tpbi3w-4b243d85', 'art', '0.1', 'completed', 0, 1, 1, 1, 0, 'first', 'vm:23598:d1f241ac', 1796046199.916395, 0, '{"image":{"$artifact":"64bdd924c5354c16f5625a52ab1c605dab084f8c4a402be68e556eff1e3eac33","media_type":"image/png","size":2571,"width":96,"height":64},"width":96,"height":64,"provider":"offline","model":"offline/poster-1","prompt":"Lamp keeps its best details for those who look twice. Ready when you are.","tokens":14,"cost":0.0}', NULL, '6383165c0a90631e5a9c879f3de15e95ce9ea0945470d1f8b36e203a6feb2609', 0, 'offline', 'offline/poster-1', 14, 0, NULL, NULL, NULL, 1796046189.916395, 1796046190.05621);
INSERT INTO public.agent_jobs VALUES (3, 'finished-tpbi3w-4b243d85', 'art', '0.0', 'completed', 0, 1, 1, 1, 0, 'first', 'vm:23598:d1f241ac', 1796046199.947415, 0, '{"image":{"$artifact":"a35e71e1b5a3e66324602434611b76ee89f41bf651f460f9dfd5aba41877075d","media_type":"image/png","size":3544,"width":96,"height":64},"width":96,"height":64,"provider":"offline","model":"offline/poster-1","prompt":"Nothing about lamp is hurried, and it shows. Simple as that.","tokens":11,"cost":0.0}', NULL, '50fcedc49fba763cd034870e5f1410d4773223eb1c27f2e3998cb8a0e5a81a69', 0, 'offline', 'offline/poster-1', 11, 0, NULL, NULL, NULL, 1796046189.947415, 1796046190.065255);
INSERT INTO public.agent_jobs VALUES (7, 'finished-tpbi3w-4b243d85', 'line', '1.0', 'completed', 0, 0, 1, 1, 0, 'first', 'vm:23598:d1f241ac', 1796046200.05621, 0, '{"text":"Mug is the first thing you reach for when friends stay late. Simple as that.","provider":"offline","model":"offline/copy-1","tokens":19,"cost":0.0}', NULL, '7410e75eba924c13ff2924f69206ab78218a8fa50d6191a0b2e5a1185c13e4da', 0, 'offline', 'offline/copy-1', 19, 0, NULL, NULL, NULL, 1796046190.05621, 1796046190.087741);
INSERT INTO public.agent_jobs VALUES (8, 'finished-tpbi3w-4b243d85', 'line', '1.1', 'completed', 0, 0, 1, 1, 0, 'first', 'vm:23598:d1f241ac', 1796046200.087741, 0, '{"text":"Put mug on the table and everybody moves a little closer. Try it for a week; you will see.","provider":"offline","model":"offline/copy-1","tokens":23,"cost":0.0}', NULL, '4d4a730a2e32cab50030b81626765d4447a7e0e2b34f50aa5ede1bbbee2c8acb', 0, 'offline', 'offline/copy-1', 23, 0, NULL, NULL, NULL, 1796046190.087741, 1796046190.114853);
INSERT INTO public.agent_jobs VALUES (5, 'finished-tpbi3w-4b243d85', 'pick', '0', 'completed', 0, 2, 1, 1, 0, 'first', 'vm:23598:d1f241ac', 1796046200.065255, 0, '{"choice":[1],"by":"root","comment":"the second","of":"art","art":{"image":{"$artifact":"64bdd924c5354c16f5625a52ab1c605dab084f8c4a402be68e556eff1e3eac33","media_type":"image/png","size":2571,"width":96,"height":64},"width":96,"height":64,"provider":"offline","model":"offline/poster-1","prompt":"Lamp keeps its best details for those who look twice. Ready when you are.","tokens":14,"cost":0.0},"line":{"text":"Written by hand","provider":"offline","model":"offline/copy-1","tokens":18,"cost":0.0},"original":{"line":"Lamp keeps its best details for those who look twice. Ready when you are."}}', NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 1796046190.065255, 1796046190.142308);
INSERT INTO public.agent_jobs VALUES (9, 'finished-tpbi3w-4b243d85', 'art', '1.0', 'completed', 0, 1, 1, 1, 0, 'first', 'vm:23598:d1f241ac', 1796046200.103371, 0, '{"image":{"$artifact":"dd4125f030fd115d16726f071adf24c041dd1b565a747a0bdfcaa7dadd65e4e3","media_type":"image/png","size":4856,"width":96,"height":64},"width":96,"height":64,"provider":"offline","model":"offline/poster-1","prompt":"Mug is the first thing you reach for when friends stay late. Simple as that.","tokens":15,"cost":0.0}', NULL, '375bd268e8a57ea0251f35f651e23a8212ddc6579940e2a3b7c81b36483bc3b7', 0, 'offline', 'offline/poster-1', 15, 0, NULL, NULL, NULL, 1796046190.103371, 1796046190.166356);
INSERT INTO public.agent_jobs VALUES (11, 'finished-tpbi3w-4b243d85', 'pick', '1', 'completed', 0, 2, 1, 1, 0, 'first', 'vm:23598:d1f241ac', 1796046200.175488, 0, '{"choice":[1],"by":"root","comment":"the second","of":"art","art":{"image":{"$artifact":"c4b4b2ab218834985ba35f30c1fe5e597c2ee4c135c7b9bc0481ab74dccbb6c5","media_type":"image/png","size":1957,"width":96,"height":64},"width":96,"height":64,"provider":"offline","model":"offline/poster-1","prompt":"Put mug on the table and everybody moves a little closer. Try it for a week; you will see.","tokens":19,"cost":0.0},"line":{"text":"Written by hand","provider":"offline","model":"offline/copy-1","tokens":23,"cost":0.0},"original":{"line":"Put mug on the table and everybody moves a little closer. Try it for a week; you will see."}}', NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 1796046190.175488, 1796046190.222723);
INSERT INTO public.agent_jobs VALUES (10, 'finished-tpbi3w-4b243d85', 'art', '1.1', 'completed', 0, 1, 1, 1, 0, 'first', 'vm:23598:d1f241ac', 1796046200.114853, 0, '{"image":{"$artifact":"c4b4b2ab218834985ba35f30c1fe5e597c2ee4c135c7b9bc0481ab74dccbb6c5","media_type":"image/png","size":1957,"width":96,"height":64},"width":96,"height":64,"provider":"offline","model":"offline/poster-1","prompt":"Put mug on the table and everybody moves a little closer. Try it for a week; you will see.","tokens":19,"cost":0.0}', NULL, 'e744374d6762a53e14f569384366ac43ec628317f0bfc76929a9fb64882c01f8', 0, 'offline', 'offline/poster-1', 19, 0, NULL, NULL, NULL, 1796046190.114853, 1796046190.175488);
INSERT INTO public.agent_jobs VALUES (12, 'finished-tpbi3w-4b243d85', 'kit', '1', 'completed', 0, 1, 1, 1, 0, 'first', 'vm:23598:d1f241ac', 1796046200.23527, 0, '{"title":"Written by hand","image":{"$artifact":"c4b4b2ab218834985ba35f30c1fe5e597c2ee4c135c7b9bc0481ab74dccbb6c5","media_type":"image/png","size":1957,"width":96,"height":64}}', NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 1796046190.23527, 1796046190.25487);
INSERT INTO public.agent_jobs VALUES (18, 'paused-tpbi3y-2aa45af9', 'kit', '0', 'blocked', 1, 0, 0, 0, 0, 'first', NULL, NULL, 0, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.agent_jobs VALUES (14, 'paused-tpbi3y-2aa45af9', 'line', '0.1', 'completed', 0, 0, 1, 1, 0, 'first', 'vm:23598:d1f241ac', 1796046200.314933, 0, '{"text":"Lamp keeps its best details for those who look twice. Ready when you are.","provider":"offline","model":"offline/copy-1","tokens":18,"cost":0.0}', NULL, 'dc625dbdb729f085d734a1555c8c0aa58427b6fba76fd538e9abde610faf1543', 1, 'offline', 'offline/copy-1', 0, 0, NULL, NULL, NULL, 1796046190.314933, 1796046190.335349);
INSERT INTO public.agent_jobs VALUES (21, 'paused-tpbi3y-2aa45af9', 'art', '1.0', 'completed', 0, 1, 1, 1, 0, 'first', 'vm:23598:d1f241ac', 1796046200.386749, 0, '{"image":{"$artifact":"dd4125f030fd115d16726f071adf24c041dd1b565a747a0bdfcaa7dadd65e4e3","media_type":"image/png","size":4856,"width":96,"height":64},"width":96,"height":64,"provider":"offline","model":"offline/poster-1","prompt":"Mug is the first thing you reach for when friends stay late. Simple as that.","tokens":15,"cost":0.0}', NULL, '375bd268e8a57ea0251f35f651e23a8212ddc6579940e2a3b7c81b36483bc3b7', 1, 'offline', 'offline/poster-1', 0, 0, NULL, NULL, NULL, 1796046190.386749, 1796046190.406723);
INSERT INTO public.agent_jobs VALUES (13, 'paused-tpbi3y-2aa45af9', 'line', '0.0', 'completed', 0, 0, 1, 1, 0, 'first', 'vm:23598:d1f241ac', 1796046200.287839, 0, '{"text":"Nothing about lamp is hurried, and it shows. Simple as that.","provider":"offline","model":"offline/copy-1","tokens":15,"cost":0.0}', NULL, '226e643b4fbe096a0bfda009e0db328c89830c962567b8996c883137e2707333', 1, 'offline', 'offline/copy-1', 0, 0, NULL, NULL, NULL, 1796046190.287839, 1796046190.322796);
INSERT INTO public.agent_jobs VALUES (15, 'paused-tpbi3y-2aa45af9', 'art', '0.0', 'completed', 0, 1, 1, 1, 0, 'first', 'vm:23598:d1f241ac', 1796046200.322796, 0, '{"image":{"$artifact":"a35e71e1b5a3e66324602434611b76ee89f41bf651f460f9dfd5aba41877075d","media_type":"image/png","size":3544,"width":96,"height":64},"width":96,"height":64,"provider":"offline","model":"offline/poster-1","prompt":"Nothing about lamp is hurried, and it shows. Simple as that.","tokens":11,"cost":0.0}', NULL, '50fcedc49fba763cd034870e5f1410d4773223eb1c27f2e3998cb8a0e5a81a69', 1, 'offline', 'offline/poster-1', 0, 0, NULL, NULL, NULL, 1796046190.322796, 1796046190.34478);
INSERT INTO public.agent_jobs VALUES (16, 'paused-tpbi3y-2aa45af9', 'art', '0.1', 'completed', 0, 1, 1, 1, 0, 'first', 'vm:23598:d1f241ac', 1796046200.335349, 0, '{"image":{"$artifact":"64bdd924c5354c16f5625a52ab1c605dab084f8c4a402be68e556eff1e3eac33","media_type":"image/png","size":2571,"width":96,"height":64},"width":96,"height":64,"provider":"offline","model":"offline/poster-1","prompt":"Lamp keeps its best details for those who look twice. Ready when you are.","tokens":14,"cost":0.0}', NULL, '6383165c0a90631e5a9c879f3de15e95ce9ea0945470d1f8b36e203a6feb2609', 1, 'offline', 'offline/poster-1', 0, 0, NULL, NULL, NULL, 1796046190.335349, 1796046190.357345);
INSERT INTO public.agent_jobs VALUES (19, 'paused-tpbi3y-2aa45af9', 'line', '1.0', 'completed', 0, 0, 1, 1, 0, 'first', 'vm:23598:d1f241ac', 1796046200.34478, 0, '{"text":"Mug is the first thing you reach for when friends stay late. Simple as that.","provider":"offline","model":"offline/copy-1","tokens":19,"cost":0.0}', NULL, '7410e75eba924c13ff2924f69206ab78218a8fa50d6191a0b2e5a1185c13e4da', 1, 'offline', 'offline/copy-1', 0, 0, NULL, NULL, NULL, 1796046190.34478, 1796046190.372041);
INSERT INTO public.agent_jobs VALUES (17, 'paused-tpbi3y-2aa45af9', 'pick', '0', 'waiting', 0, 2, 1, 1, 0, 'first', 'vm:23598:d1f241ac', 1796046200.357345, 0, '{"options":[{"art":{"image":{"$artifact":"a35e71e1b5a3e66324602434611b76ee89f41bf651f460f9dfd5aba41877075d","media_type":"image/png","size":3544,"width":96,"height":64},"width":96,"height":64,"provider":"offline","model":"offline/poster-1","prompt":"Nothing about lamp is hurried, and it shows. Simple as that.","tokens":11,"cost":0.0},"line":{"text":"Nothing about lamp is hurried, and it shows. Simple as that.","provider":"offline","model":"offline/copy-1","tokens":15,"cost":0.0}},{"art":{"image":{"$artifact":"64bdd924c5354c16f5625a52ab1c605dab084f8c4a402be68e556eff1e3eac33","media_type":"image/png","size":2571,"width":96,"height":64},"width":96,"height":64,"provider":"offline","model":"offline/poster-1","prompt":"Lamp keeps its best details for those who look twice. Ready when you are.","tokens":14,"cost":0.0},"line":{"text":"Lamp keeps its best details for those who look twice. Ready when you are.","provider":"offline","model":"offline/copy-1","tokens":18,"cost":0.0}}],"choose":1,"edit":true,"instructions":null,"of":"art"}', NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 1796046190.357345, NULL);
INSERT INTO public.agent_jobs VALUES (20, 'paused-tpbi3y-2aa45af9', 'line', '1.1', 'completed', 0, 0, 1, 1, 0, 'first', 'vm:23598:d1f241ac', 1796046200.372041, 0, '{"text":"Put mug on the table and everybody moves a little closer. Try it for a week; you will see.","provider":"offline","model":"offline/copy-1","tokens":23,"cost":0.0}', NULL, '4d4a730a2e32cab50030b81626765d4447a7e0e2b34f50aa5ede1bbbee2c8acb', 1, 'offline', 'offline/copy-1', 0, 0, NULL, NULL, NULL, 1796046190.372041, 1796046190.397426);
INSERT INTO public.agent_jobs VALUES (22, 'paused-tpbi3y-2aa45af9', 'art', '1.1', 'completed', 0, 1, 1, 1, 0, 'first', 'vm:23598:d1f241ac', 1796046200.397426, 0, '{"image":{"$artifact":"c4b4b2ab218834985ba35f30c1fe5e597c2ee4c135c7b9bc0481ab74dccbb6c5","media_type":"image/png","size":1957,"width":96,"height":64},"width":96,"height":64,"provider":"offline","model":"offline/poster-1","prompt":"Put mug on the table and everybody moves a little closer. Try it for a week; you will see.","tokens":19,"cost":0.0}', NULL, 'e744374d6762a53e14f569384366ac43ec628317f0bfc76929a9fb64882c01f8', 1, 'offline', 'offline/poster-1', 0, 0, NULL, NULL, NULL, 1796046190.397426, 1796046190.418425);
INSERT INTO public.agent_jobs VALUES (23, 'paused-tpbi3y-2aa45af9', 'pick', '1', 'waiting', 0, 2, 1, 1, 0, 'first', 'vm:23598:d1f241ac', 1796046200.418425, 0, '{"options":[{"art":{"image":{"$artifact":"dd4125f030fd115d16726f071adf24c041dd1b565a747a0bdfcaa7dadd65e4e3","media_type":"image/png","size":4856,"width":96,"height":64},"width":96,"height":64,"provider":"offline","model":"offline/poster-1","prompt":"Mug is the first thing you reach for when friends stay late. Simple as that.","tokens":15,"cost":0.0},"line":{"text":"Mug is the first thing you reach for when friends stay late. Simple as that.","provider":"offline","model":"offline/copy-1","tokens":19,"cost":0.0}},{"art":{"image":{"$artifact":"c4b4b2ab218834985ba35f30c1fe5e597c2ee4c135c7b9bc0481ab74dccbb6c5","media_type":"image/png","size":1957,"width":96,"height":64},"width":96,"height":64,"provider":"offline","model":"offline/poster-1","prompt":"Put mug on the table and everybody moves a little closer. Try it for a week; you will see.","tokens":19,"cost":0.0},"line":{"text":"Put mug on the table and everybody moves a little closer. Try it for a week; you will see.","provider":"offline","model":"offline/copy-1","tokens":23,"cost":0.0}}],"choose":1,"edit":true,"instructions":null,"of":"art"}', NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 1796046190.418425, NULL);
INSERT INTO public.agent_jobs VALUES (26, 'failed-tpbi3y-059597c8', 'parsed', '1', 'failed', 0, 0, 1, 1, 0, 'first', 'vm:23598:d1f241ac', 1796046200.509563, 0, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, 'permanent', 'loads() raised json.decoder.JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1) (line 346)', 'Traceback (most recent call last):
  File "lib/json/__init__.py", line 346, in loads
    return _default_decoder.decode(s)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "lib/json/decoder.py", line 337, in decode
    obj, end = self.raw_decode(s, idx=_w(s, 0).end())
               ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "lib/json/decoder.py", line 353, in raw_decode
    obj, end = self.scan_once(s, idx)
               ^^^^^^^^^^^^^^^^^^^^^^
json.decoder.JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)
', 1796046190.509563, 1796046190.537471);


--
-- Data for Name: alembic_version; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.alembic_version VALUES ('0003');


--
-- Data for Name: execution_events; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.execution_events VALUES ('finished-tpbi3w-4b243d85', 1, 1796046188.439115, 'submitted', NULL, NULL, '{"jobs":12,"rows":2}');
INSERT INTO public.execution_events VALUES ('finished-tpbi3w-4b243d85', 2, 1796046189.80307, 'job_started', 'line', '0.0', '{"attempt":1,"because":"first"}');
INSERT INTO public.execution_events VALUES ('finished-tpbi3w-4b243d85', 3, 1796046189.882689, 'job_started', 'line', '0.1', '{"attempt":1,"because":"first"}');
INSERT INTO public.execution_events VALUES ('finished-tpbi3w-4b243d85', 4, 1796046189.916395, 'job_completed', 'line', '0.1', NULL);
INSERT INTO public.execution_events VALUES ('finished-tpbi3w-4b243d85', 5, 1796046189.916395, 'job_started', 'art', '0.1', '{"attempt":1,"because":"first"}');
INSERT INTO public.execution_events VALUES ('finished-tpbi3w-4b243d85', 6, 1796046189.947415, 'job_completed', 'line', '0.0', NULL);
INSERT INTO public.execution_events VALUES ('finished-tpbi3w-4b243d85', 7, 1796046189.947415, 'job_started', 'art', '0.0', '{"attempt":1,"because":"first"}');
INSERT INTO public.execution_events VALUES ('finished-tpbi3w-4b243d85', 8, 1796046190.05621, 'job_completed', 'art', '0.1', NULL);
INSERT INTO public.execution_events VALUES ('finished-tpbi3w-4b243d85', 9, 1796046190.05621, 'job_started', 'line', '1.0', '{"attempt":1,"because":"first"}');
INSERT INTO public.execution_events VALUES ('finished-tpbi3w-4b243d85', 10, 1796046190.065255, 'job_completed', 'art', '0.0', NULL);
INSERT INTO public.execution_events VALUES ('finished-tpbi3w-4b243d85', 11, 1796046190.065255, 'job_started', 'pick', '0', '{"attempt":1,"because":"first"}');
INSERT INTO public.execution_events VALUES ('finished-tpbi3w-4b243d85', 12, 1796046190.087741, 'job_completed', 'line', '1.0', NULL);
INSERT INTO public.execution_events VALUES ('finished-tpbi3w-4b243d85', 13, 1796046190.087741, 'job_started', 'line', '1.1', '{"attempt":1,"because":"first"}');
INSERT INTO public.execution_events VALUES ('finished-tpbi3w-4b243d85', 14, 1796046190.103371, 'job_waiting', 'pick', '0', NULL);
INSERT INTO public.execution_events VALUES ('finished-tpbi3w-4b243d85', 15, 1796046190.103371, 'job_started', 'art', '1.0', '{"attempt":1,"because":"first"}');
INSERT INTO public.execution_events VALUES ('finished-tpbi3w-4b243d85', 16, 1796046190.114853, 'job_completed', 'line', '1.1', NULL);
INSERT INTO public.execution_events VALUES ('finished-tpbi3w-4b243d85', 17, 1796046190.114853, 'job_started', 'art', '1.1', '{"attempt":1,"because":"first"}');
INSERT INTO public.execution_events VALUES ('finished-tpbi3w-4b243d85', 18, 1796046190.142308, 'job_decided', 'pick', '0', '{"action":"approve","by":"root"}');
INSERT INTO public.execution_events VALUES ('finished-tpbi3w-4b243d85', 19, 1796046190.166356, 'job_completed', 'art', '1.0', NULL);
INSERT INTO public.execution_events VALUES ('finished-tpbi3w-4b243d85', 20, 1796046190.166356, 'job_started', 'kit', '0', '{"attempt":1,"because":"first"}');
INSERT INTO public.execution_events VALUES ('finished-tpbi3w-4b243d85', 21, 1796046190.175488, 'job_completed', 'art', '1.1', NULL);
INSERT INTO public.execution_events VALUES ('finished-tpbi3w-4b243d85', 22, 1796046190.175488, 'job_started', 'pick', '1', '{"attempt":1,"because":"first"}');
INSERT INTO public.execution_events VALUES ('finished-tpbi3w-4b243d85', 23, 1796046190.198703, 'job_completed', 'kit', '0', NULL);
INSERT INTO public.execution_events VALUES ('finished-tpbi3w-4b243d85', 24, 1796046190.216155, 'job_waiting', 'pick', '1', NULL);
INSERT INTO public.execution_events VALUES ('finished-tpbi3w-4b243d85', 25, 1796046190.222723, 'job_decided', 'pick', '1', '{"action":"approve","by":"root"}');
INSERT INTO public.execution_events VALUES ('finished-tpbi3w-4b243d85', 26, 1796046190.23527, 'job_started', 'kit', '1', '{"attempt":1,"because":"first"}');
INSERT INTO public.execution_events VALUES ('finished-tpbi3w-4b243d85', 27, 1796046190.25487, 'job_completed', 'kit', '1', NULL);
INSERT INTO public.execution_events VALUES ('finished-tpbi3w-4b243d85', 28, 1796046190.25487, 'completed', NULL, NULL, NULL);
INSERT INTO public.execution_events VALUES ('paused-tpbi3y-2aa45af9', 1, 1796046190.282369, 'submitted', NULL, NULL, '{"jobs":12,"rows":2}');
INSERT INTO public.execution_events VALUES ('paused-tpbi3y-2aa45af9', 2, 1796046190.287839, 'job_started', 'line', '0.0', '{"attempt":1,"because":"first"}');
INSERT INTO public.execution_events VALUES ('paused-tpbi3y-2aa45af9', 3, 1796046190.314933, 'job_started', 'line', '0.1', '{"attempt":1,"because":"first"}');
INSERT INTO public.execution_events VALUES ('paused-tpbi3y-2aa45af9', 4, 1796046190.322796, 'job_completed', 'line', '0.0', '{"cached":true}');
INSERT INTO public.execution_events VALUES ('paused-tpbi3y-2aa45af9', 5, 1796046190.322796, 'job_started', 'art', '0.0', '{"attempt":1,"because":"first"}');
INSERT INTO public.execution_events VALUES ('paused-tpbi3y-2aa45af9', 6, 1796046190.335349, 'job_completed', 'line', '0.1', '{"cached":true}');
INSERT INTO public.execution_events VALUES ('paused-tpbi3y-2aa45af9', 7, 1796046190.335349, 'job_started', 'art', '0.1', '{"attempt":1,"because":"first"}');
INSERT INTO public.execution_events VALUES ('paused-tpbi3y-2aa45af9', 8, 1796046190.34478, 'job_completed', 'art', '0.0', '{"cached":true}');
INSERT INTO public.execution_events VALUES ('paused-tpbi3y-2aa45af9', 9, 1796046190.34478, 'job_started', 'line', '1.0', '{"attempt":1,"because":"first"}');
INSERT INTO public.execution_events VALUES ('paused-tpbi3y-2aa45af9', 10, 1796046190.357345, 'job_completed', 'art', '0.1', '{"cached":true}');
INSERT INTO public.execution_events VALUES ('paused-tpbi3y-2aa45af9', 11, 1796046190.357345, 'job_started', 'pick', '0', '{"attempt":1,"because":"first"}');
INSERT INTO public.execution_events VALUES ('paused-tpbi3y-2aa45af9', 12, 1796046190.372041, 'job_completed', 'line', '1.0', '{"cached":true}');
INSERT INTO public.execution_events VALUES ('paused-tpbi3y-2aa45af9', 13, 1796046190.372041, 'job_started', 'line', '1.1', '{"attempt":1,"because":"first"}');
INSERT INTO public.execution_events VALUES ('paused-tpbi3y-2aa45af9', 14, 1796046190.386749, 'job_waiting', 'pick', '0', NULL);
INSERT INTO public.execution_events VALUES ('paused-tpbi3y-2aa45af9', 15, 1796046190.386749, 'job_started', 'art', '1.0', '{"attempt":1,"because":"first"}');
INSERT INTO public.execution_events VALUES ('paused-tpbi3y-2aa45af9', 16, 1796046190.397426, 'job_completed', 'line', '1.1', '{"cached":true}');
INSERT INTO public.execution_events VALUES ('paused-tpbi3y-2aa45af9', 17, 1796046190.397426, 'job_started', 'art', '1.1', '{"attempt":1,"because":"first"}');
INSERT INTO public.execution_events VALUES ('paused-tpbi3y-2aa45af9', 18, 1796046190.406723, 'job_completed', 'art', '1.0', '{"cached":true}');
INSERT INTO public.execution_events VALUES ('paused-tpbi3y-2aa45af9', 19, 1796046190.418425, 'job_completed', 'art', '1.1', '{"cached":true}');
INSERT INTO public.execution_events VALUES ('paused-tpbi3y-2aa45af9', 20, 1796046190.418425, 'job_started', 'pick', '1', '{"attempt":1,"because":"first"}');
INSERT INTO public.execution_events VALUES ('paused-tpbi3y-2aa45af9', 21, 1796046190.435214, 'job_waiting', 'pick', '1', NULL);
INSERT INTO public.execution_events VALUES ('paused-tpbi3y-2aa45af9', 22, 1796046190.460223, 'paused', NULL, NULL, NULL);
INSERT INTO public.execution_events VALUES ('failed-tpbi3y-059597c8', 1, 1796046190.466517, 'submitted', NULL, NULL, '{"jobs":2,"rows":2}');
INSERT INTO public.execution_events VALUES ('failed-tpbi3y-059597c8', 2, 1796046190.491262, 'job_started', 'parsed', '0', '{"attempt":1,"because":"first"}');
INSERT INTO public.execution_events VALUES ('failed-tpbi3y-059597c8', 3, 1796046190.509563, 'job_started', 'parsed', '1', '{"attempt":1,"because":"first"}');
INSERT INTO public.execution_events VALUES ('failed-tpbi3y-059597c8', 4, 1796046190.527862, 'job_completed', 'parsed', '0', NULL);
INSERT INTO public.execution_events VALUES ('failed-tpbi3y-059597c8', 5, 1796046190.537471, 'job_failed', 'parsed', '1', '{"error":"loads() raised json.decoder.JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1) (line 346)"}');
INSERT INTO public.execution_events VALUES ('failed-tpbi3y-059597c8', 6, 1796046190.537471, 'failed', NULL, NULL, '{"error":"1 of 2 jobs failed"}');


--
-- Data for Name: execution_functions; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: execution_rows; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.execution_rows VALUES ('finished-tpbi3w-4b243d85', 0, '0', '{"word":"lamp","text":"{\"lumen\": 800}"}');
INSERT INTO public.execution_rows VALUES ('finished-tpbi3w-4b243d85', 1, '1', '{"word":"mug","text":"{"}');
INSERT INTO public.execution_rows VALUES ('paused-tpbi3y-2aa45af9', 0, '0', '{"word":"lamp","text":"{\"lumen\": 800}"}');
INSERT INTO public.execution_rows VALUES ('paused-tpbi3y-2aa45af9', 1, '1', '{"word":"mug","text":"{"}');
INSERT INTO public.execution_rows VALUES ('failed-tpbi3y-059597c8', 0, '0', '{"word":"lamp","text":"{\"lumen\": 800}"}');
INSERT INTO public.execution_rows VALUES ('failed-tpbi3y-059597c8', 1, '1', '{"word":"mug","text":"{"}');


--
-- Data for Name: job_attempts; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.job_attempts VALUES (2, 1, 'first', 'vm:23598:d1f241ac', 1796046189.882689, 1796046189.916395, 'completed', NULL, NULL);
INSERT INTO public.job_attempts VALUES (1, 1, 'first', 'vm:23598:d1f241ac', 1796046189.80307, 1796046189.947415, 'completed', NULL, NULL);
INSERT INTO public.job_attempts VALUES (4, 1, 'first', 'vm:23598:d1f241ac', 1796046189.916395, 1796046190.05621, 'completed', NULL, NULL);
INSERT INTO public.job_attempts VALUES (3, 1, 'first', 'vm:23598:d1f241ac', 1796046189.947415, 1796046190.065255, 'completed', NULL, NULL);
INSERT INTO public.job_attempts VALUES (7, 1, 'first', 'vm:23598:d1f241ac', 1796046190.05621, 1796046190.087741, 'completed', NULL, NULL);
INSERT INTO public.job_attempts VALUES (5, 1, 'first', 'vm:23598:d1f241ac', 1796046190.065255, 1796046190.103371, 'waiting', NULL, NULL);
INSERT INTO public.job_attempts VALUES (8, 1, 'first', 'vm:23598:d1f241ac', 1796046190.087741, 1796046190.114853, 'completed', NULL, NULL);
INSERT INTO public.job_attempts VALUES (9, 1, 'first', 'vm:23598:d1f241ac', 1796046190.103371, 1796046190.166356, 'completed', NULL, NULL);
INSERT INTO public.job_attempts VALUES (10, 1, 'first', 'vm:23598:d1f241ac', 1796046190.114853, 1796046190.175488, 'completed', NULL, NULL);
INSERT INTO public.job_attempts VALUES (6, 1, 'first', 'vm:23598:d1f241ac', 1796046190.166356, 1796046190.198703, 'completed', NULL, NULL);
INSERT INTO public.job_attempts VALUES (11, 1, 'first', 'vm:23598:d1f241ac', 1796046190.175488, 1796046190.216155, 'waiting', NULL, NULL);
INSERT INTO public.job_attempts VALUES (12, 1, 'first', 'vm:23598:d1f241ac', 1796046190.23527, 1796046190.25487, 'completed', NULL, NULL);
INSERT INTO public.job_attempts VALUES (13, 1, 'first', 'vm:23598:d1f241ac', 1796046190.287839, 1796046190.322796, 'completed', NULL, NULL);
INSERT INTO public.job_attempts VALUES (14, 1, 'first', 'vm:23598:d1f241ac', 1796046190.314933, 1796046190.335349, 'completed', NULL, NULL);
INSERT INTO public.job_attempts VALUES (15, 1, 'first', 'vm:23598:d1f241ac', 1796046190.322796, 1796046190.34478, 'completed', NULL, NULL);
INSERT INTO public.job_attempts VALUES (16, 1, 'first', 'vm:23598:d1f241ac', 1796046190.335349, 1796046190.357345, 'completed', NULL, NULL);
INSERT INTO public.job_attempts VALUES (19, 1, 'first', 'vm:23598:d1f241ac', 1796046190.34478, 1796046190.372041, 'completed', NULL, NULL);
INSERT INTO public.job_attempts VALUES (17, 1, 'first', 'vm:23598:d1f241ac', 1796046190.357345, 1796046190.386749, 'waiting', NULL, NULL);
INSERT INTO public.job_attempts VALUES (20, 1, 'first', 'vm:23598:d1f241ac', 1796046190.372041, 1796046190.397426, 'completed', NULL, NULL);
INSERT INTO public.job_attempts VALUES (21, 1, 'first', 'vm:23598:d1f241ac', 1796046190.386749, 1796046190.406723, 'completed', NULL, NULL);
INSERT INTO public.job_attempts VALUES (22, 1, 'first', 'vm:23598:d1f241ac', 1796046190.397426, 1796046190.418425, 'completed', NULL, NULL);
INSERT INTO public.job_attempts VALUES (23, 1, 'first', 'vm:23598:d1f241ac', 1796046190.418425, 1796046190.435214, 'waiting', NULL, NULL);
INSERT INTO public.job_attempts VALUES (25, 1, 'first', 'vm:23598:d1f241ac', 1796046190.491262, 1796046190.527862, 'completed', NULL, NULL);
INSERT INTO public.job_attempts VALUES (26, 1, 'first', 'vm:23598:d1f241ac', 1796046190.509563, 1796046190.537471, 'failed', 'permanent', 'loads() raised json.decoder.JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1) (line 346)');


--
-- Data for Name: rate_limits; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: review_decisions; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.review_decisions VALUES (5, 'approve', 'root', 1796046190.142308, '{"options":[{"art":{"image":{"$artifact":"a35e71e1b5a3e66324602434611b76ee89f41bf651f460f9dfd5aba41877075d","media_type":"image/png","size":3544,"width":96,"height":64},"width":96,"height":64,"provider":"offline","model":"offline/poster-1","prompt":"Nothing about lamp is hurried, and it shows. Simple as that.","tokens":11,"cost":0.0},"line":{"text":"Nothing about lamp is hurried, and it shows. Simple as that.","provider":"offline","model":"offline/copy-1","tokens":15,"cost":0.0}},{"art":{"image":{"$artifact":"64bdd924c5354c16f5625a52ab1c605dab084f8c4a402be68e556eff1e3eac33","media_type":"image/png","size":2571,"width":96,"height":64},"width":96,"height":64,"provider":"offline","model":"offline/poster-1","prompt":"Lamp keeps its best details for those who look twice. Ready when you are.","tokens":14,"cost":0.0},"line":{"text":"Lamp keeps its best details for those who look twice. Ready when you are.","provider":"offline","model":"offline/copy-1","tokens":18,"cost":0.0}}],"choose":1,"edit":true,"instructions":null,"of":"art"}', '{"choice":[1],"by":"root","comment":"the second","of":"art","art":{"image":{"$artifact":"64bdd924c5354c16f5625a52ab1c605dab084f8c4a402be68e556eff1e3eac33","media_type":"image/png","size":2571,"width":96,"height":64},"width":96,"height":64,"provider":"offline","model":"offline/poster-1","prompt":"Lamp keeps its best details for those who look twice. Ready when you are.","tokens":14,"cost":0.0},"line":{"text":"Written by hand","provider":"offline","model":"offline/copy-1","tokens":18,"cost":0.0},"original":{"line":"Lamp keeps its best details for those who look twice. Ready when you are."}}', 'the second');
INSERT INTO public.review_decisions VALUES (11, 'approve', 'root', 1796046190.222723, '{"options":[{"art":{"image":{"$artifact":"dd4125f030fd115d16726f071adf24c041dd1b565a747a0bdfcaa7dadd65e4e3","media_type":"image/png","size":4856,"width":96,"height":64},"width":96,"height":64,"provider":"offline","model":"offline/poster-1","prompt":"Mug is the first thing you reach for when friends stay late. Simple as that.","tokens":15,"cost":0.0},"line":{"text":"Mug is the first thing you reach for when friends stay late. Simple as that.","provider":"offline","model":"offline/copy-1","tokens":19,"cost":0.0}},{"art":{"image":{"$artifact":"c4b4b2ab218834985ba35f30c1fe5e597c2ee4c135c7b9bc0481ab74dccbb6c5","media_type":"image/png","size":1957,"width":96,"height":64},"width":96,"height":64,"provider":"offline","model":"offline/poster-1","prompt":"Put mug on the table and everybody moves a little closer. Try it for a week; you will see.","tokens":19,"cost":0.0},"line":{"text":"Put mug on the table and everybody moves a little closer. Try it for a week; you will see.","provider":"offline","model":"offline/copy-1","tokens":23,"cost":0.0}}],"choose":1,"edit":true,"instructions":null,"of":"art"}', '{"choice":[1],"by":"root","comment":"the second","of":"art","art":{"image":{"$artifact":"c4b4b2ab218834985ba35f30c1fe5e597c2ee4c135c7b9bc0481ab74dccbb6c5","media_type":"image/png","size":1957,"width":96,"height":64},"width":96,"height":64,"provider":"offline","model":"offline/poster-1","prompt":"Put mug on the table and everybody moves a little closer. Try it for a week; you will see.","tokens":19,"cost":0.0},"line":{"text":"Written by hand","provider":"offline","model":"offline/copy-1","tokens":23,"cost":0.0},"original":{"line":"Put mug on the table and everybody moves a little closer. Try it for a week; you will see."}}', 'the second');


--
-- Data for Name: template_versions; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.template_versions VALUES ('default', 'finished', 1, 'a25d379cea320a4e729effbf42846ff6', 1796046188.439115);
INSERT INTO public.template_versions VALUES ('default', 'paused', 1, '991ca108851f8c605f8a51e657cf9dc8', 1796046190.282369);
INSERT INTO public.template_versions VALUES ('default', 'failed', 1, 'fb26aa4eee3db8a67c0f4478c5f1aebe', 1796046190.466517);


--
-- Data for Name: workflow_executions; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.workflow_executions VALUES ('paused-tpbi3y-2aa45af9', '991ca108851f8c605f8a51e657cf9dc8', 'paused', 'paused', 0, '{"columns": ["word", "text"], "dtypes": {"word": "str", "text": "str"}, "index": {"names": [null], "dtypes": ["int64"]}, "inputs": []}', 2, 12, 8, 0, 22, NULL, NULL, 1796046190.282369, 1796046190.287839, NULL, 'default', NULL, NULL);
INSERT INTO public.workflow_executions VALUES ('failed-tpbi3y-059597c8', 'fb26aa4eee3db8a67c0f4478c5f1aebe', 'failed', 'failed', 0, '{"columns": ["word", "text"], "dtypes": {"word": "str", "text": "str"}, "index": {"names": [null], "dtypes": ["int64"]}, "inputs": []}', 2, 2, 2, 1, 6, NULL, '1 of 2 jobs failed', 1796046190.466517, 1796046190.491262, 1796046190.537471, 'default', NULL, NULL);
INSERT INTO public.workflow_executions VALUES ('finished-tpbi3w-4b243d85', 'a25d379cea320a4e729effbf42846ff6', 'finished', 'completed', 0, '{"columns": ["word", "text"], "dtypes": {"word": "str", "text": "str"}, "index": {"names": [null], "dtypes": ["int64"]}, "inputs": []}', 2, 12, 12, 0, 28, NULL, NULL, 1796046188.439115, 1796046189.80307, 1796046190.25487, 'default', NULL, NULL);


--
-- Data for Name: workflow_templates; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.workflow_templates VALUES ('a25d379cea320a4e729effbf42846ff6', 'finished', 0, '{"name":"finished","inputs":["word"],"lengths":{"line":2},"nodes":[{"id":"line","type":"generate_copy","config":{"prompt":"A line for {{ word }}","n":2,"provider":"offline"},"axes":["$rows","line"],"reads":{"nodes":[],"columns":["word"]},"depth":0,"bears":false,"parents":[]},{"id":"art","type":"generate_image","config":{"prompt":"{{ line.text }}","size":"96x64","over":"line","provider":"offline"},"axes":["$rows","line"],"reads":{"nodes":["line"],"columns":[]},"depth":1,"bears":false,"parents":[["line",null,2]]},{"id":"pick","type":"review","config":{"of":"art","edit":true},"axes":["$rows"],"reads":{"nodes":["art","line"],"columns":[]},"depth":2,"bears":false,"parents":[["art",null,1]]},{"id":"kit","type":"attach","config":{"assets":{"title":"{{ pick.line.text }}","image":"{{ pick.art.image }}"}},"axes":["$rows"],"reads":{"nodes":["pick"],"columns":[]},"depth":3,"bears":false,"parents":[["pick",null,1]]}],"edges":[],"document_inputs":null}', 1796046188.439115);
INSERT INTO public.workflow_templates VALUES ('991ca108851f8c605f8a51e657cf9dc8', 'paused', 0, '{"name":"paused","inputs":["word"],"lengths":{"line":2},"nodes":[{"id":"line","type":"generate_copy","config":{"prompt":"A line for {{ word }}","n":2,"provider":"offline"},"axes":["$rows","line"],"reads":{"nodes":[],"columns":["word"]},"depth":0,"bears":false,"parents":[]},{"id":"art","type":"generate_image","config":{"prompt":"{{ line.text }}","size":"96x64","over":"line","provider":"offline"},"axes":["$rows","line"],"reads":{"nodes":["line"],"columns":[]},"depth":1,"bears":false,"parents":[["line",null,2]]},{"id":"pick","type":"review","config":{"of":"art","edit":true},"axes":["$rows"],"reads":{"nodes":["art","line"],"columns":[]},"depth":2,"bears":false,"parents":[["art",null,1]]},{"id":"kit","type":"attach","config":{"assets":{"title":"{{ pick.line.text }}","image":"{{ pick.art.image }}"}},"axes":["$rows"],"reads":{"nodes":["pick"],"columns":[]},"depth":3,"bears":false,"parents":[["pick",null,1]]}],"edges":[],"document_inputs":null}', 1796046190.282369);
INSERT INTO public.workflow_templates VALUES ('fb26aa4eee3db8a67c0f4478c5f1aebe', 'failed', 0, '{"name":"failed","inputs":["text"],"lengths":{},"nodes":[{"id":"parsed","type":"call","config":{"function":{"reference":"json:loads"},"arguments":{"s":"{{ text }}"}},"axes":["$rows"],"reads":{"nodes":[],"columns":["text"]},"depth":0,"bears":false,"parents":[]}],"edges":[],"document_inputs":null}', 1796046190.466517);


--
-- Name: agent_jobs_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.agent_jobs_id_seq', 26, true);


--
-- Name: agent_jobs agent_jobs_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.agent_jobs
    ADD CONSTRAINT agent_jobs_pkey PRIMARY KEY (id);


--
-- Name: alembic_version alembic_version_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkey PRIMARY KEY (version_num);


--
-- Name: execution_events execution_events_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.execution_events
    ADD CONSTRAINT execution_events_pkey PRIMARY KEY (execution_id, sequence);


--
-- Name: execution_functions execution_functions_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.execution_functions
    ADD CONSTRAINT execution_functions_pkey PRIMARY KEY (execution_id, digest);


--
-- Name: execution_rows execution_rows_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.execution_rows
    ADD CONSTRAINT execution_rows_pkey PRIMARY KEY (execution_id, "position");


--
-- Name: job_attempts job_attempts_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.job_attempts
    ADD CONSTRAINT job_attempts_pkey PRIMARY KEY (job_id, number);


--
-- Name: rate_limits rate_limits_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.rate_limits
    ADD CONSTRAINT rate_limits_pkey PRIMARY KEY (key);


--
-- Name: review_decisions review_decisions_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.review_decisions
    ADD CONSTRAINT review_decisions_pkey PRIMARY KEY (job_id);


--
-- Name: template_versions template_versions_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.template_versions
    ADD CONSTRAINT template_versions_pkey PRIMARY KEY (project, name, version);


--
-- Name: workflow_executions workflow_executions_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.workflow_executions
    ADD CONSTRAINT workflow_executions_pkey PRIMARY KEY (id);


--
-- Name: workflow_templates workflow_templates_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.workflow_templates
    ADD CONSTRAINT workflow_templates_pkey PRIMARY KEY (id);


--
-- Name: executions_by_key; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX executions_by_key ON public.workflow_executions USING btree (project, submission_key) WHERE (submission_key IS NOT NULL);


--
-- Name: executions_by_project; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX executions_by_project ON public.workflow_executions USING btree (project, created, id);


--
-- Name: executions_by_state; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX executions_by_state ON public.workflow_executions USING btree (state, created);


--
-- Name: executions_by_template; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX executions_by_template ON public.workflow_executions USING btree (template_id);


--
-- Name: jobs_by_cache_key; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX jobs_by_cache_key ON public.agent_jobs USING btree (cache_key) WHERE (cache_key IS NOT NULL);


--
-- Name: jobs_by_item; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX jobs_by_item ON public.agent_jobs USING btree (execution_id, node, item);


--
-- Name: jobs_ready; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX jobs_ready ON public.agent_jobs USING btree (execution_id, id) WHERE (state = 'ready'::text);


--
-- Name: jobs_running; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX jobs_running ON public.agent_jobs USING btree (owner) WHERE (state = 'running'::text);


--
-- Name: versions_by_template; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX versions_by_template ON public.template_versions USING btree (project, template_id);


--
-- Name: agent_jobs agent_jobs_execution_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.agent_jobs
    ADD CONSTRAINT agent_jobs_execution_id_fkey FOREIGN KEY (execution_id) REFERENCES public.workflow_executions(id);


--
-- Name: execution_events execution_events_execution_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.execution_events
    ADD CONSTRAINT execution_events_execution_id_fkey FOREIGN KEY (execution_id) REFERENCES public.workflow_executions(id);


--
-- Name: execution_functions execution_functions_execution_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.execution_functions
    ADD CONSTRAINT execution_functions_execution_id_fkey FOREIGN KEY (execution_id) REFERENCES public.workflow_executions(id);


--
-- Name: execution_rows execution_rows_execution_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.execution_rows
    ADD CONSTRAINT execution_rows_execution_id_fkey FOREIGN KEY (execution_id) REFERENCES public.workflow_executions(id);


--
-- Name: job_attempts job_attempts_job_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.job_attempts
    ADD CONSTRAINT job_attempts_job_id_fkey FOREIGN KEY (job_id) REFERENCES public.agent_jobs(id);


--
-- Name: review_decisions review_decisions_job_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.review_decisions
    ADD CONSTRAINT review_decisions_job_id_fkey FOREIGN KEY (job_id) REFERENCES public.agent_jobs(id);


--
-- Name: template_versions template_versions_template_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.template_versions
    ADD CONSTRAINT template_versions_template_id_fkey FOREIGN KEY (template_id) REFERENCES public.workflow_templates(id);


--
-- Name: workflow_executions workflow_executions_template_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.workflow_executions
    ADD CONSTRAINT workflow_executions_template_id_fkey FOREIGN KEY (template_id) REFERENCES public.workflow_templates(id);


--
-- PostgreSQL database dump complete
--

\unrestrict LJMgt2VS7j9WYhGUvtsNOnaWSge2EdiCRcBgPZxKdQLREfBNhdrwIV5faoaN3Xa

