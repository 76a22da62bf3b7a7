// What the generated files must be: Grafana's published types, made exact.
// Its own `Panel` leaves options and custom field settings open; here each panel type brings its own, so that a misspelt name is an error.
import type { AnnotationQuery, Dashboard, DataQuery, DataSourceJsonData, FieldConfig, Panel, RowPanel, VariableModel } from '@grafana/schema';
import type * as BarGauge from '@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen';
import type * as Gauge from '@grafana/schema/dist/esm/raw/composable/gauge/panelcfg/x/GaugePanelCfg_types.gen';
import type * as Heatmap from '@grafana/schema/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen';
import type * as Logs from '@grafana/schema/dist/esm/raw/composable/logs/panelcfg/x/LogsPanelCfg_types.gen';
import type * as Stat from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as Table from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type * as Text from '@grafana/schema/dist/esm/raw/composable/text/panelcfg/x/TextPanelCfg_types.gen';
import type * as TimeSeries from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';
import type { LokiDataQuery } from '@grafana/schema/dist/esm/raw/composable/loki/dataquery/x/LokiDataQuery_types.gen';
import type { TempoQuery } from '@grafana/schema/dist/esm/raw/composable/tempo/dataquery/x/TempoDataQuery_types.gen';

// JSON has no enums: a member stands for its value.
type Plain<T> = T extends string
  ? `${T}`
  : T extends number
    ? number extends T
      ? number
      : `${T}` extends `${infer N extends number}`
        ? N
        : never
    : T extends (infer U)[]
      ? Plain<U>[]
      : T extends object
        ? { [K in keyof T]: Plain<T[K]> }
        : T;

type Reference<Type extends string, Variable extends string> = { type: Type; uid: `\${${Variable}}` };
type Prometheus = Reference<'prometheus', 'datasource'>;
type Loki = Reference<'loki', 'loki_datasource'>;
type Tempo = Reference<'tempo', 'tempo_datasource'>;

// The published package has no types for Prometheus' queries; these are the fields that its query model reads.
interface PrometheusQuery extends Omit<DataQuery, 'datasource'> {
  datasource: Prometheus;
  editorMode: 'code';
  exemplar?: boolean;
  expr: string;
  format: 'time_series' | 'table' | 'heatmap';
  instant: boolean;
  interval?: string;
  legendFormat: string;
  range: boolean;
}

type Query =
  | PrometheusQuery
  | (Omit<Plain<LokiDataQuery>, 'datasource' | 'queryType'> & { datasource: Loki; queryType: 'instant' | 'range' })
  | (Omit<Plain<TempoQuery>, 'datasource' | 'queryType'> & { datasource: Tempo; queryType: 'traceql' });

interface Fields<Custom> {
  defaults: Omit<Plain<FieldConfig>, 'custom'> & { custom?: Plain<Custom> };
  overrides: Array<{ matcher: { id: 'byName'; options: string }; properties: Array<{ id: string; value: unknown }> }>;
}

type PanelOf<Type extends string, Options, Custom> = Pick<Plain<Panel>, 'description' | 'title' | 'pluginVersion' | 'transformations'> &
  Required<Pick<Plain<Panel>, 'gridPos' | 'id'>> & {
    type: Type;
    datasource: Prometheus | Loki | Tempo;
    fieldConfig: Fields<Custom>;
    options: Plain<Options>;
    targets: Query[];
  };

type TextPanel = Pick<Plain<Panel>, 'description' | 'title' | 'pluginVersion'> &
  Required<Pick<Plain<Panel>, 'gridPos' | 'id'>> & { type: 'text'; options: Plain<Text.Options> };

type AnyPanel =
  | Plain<RowPanel>
  | TextPanel
  | PanelOf<'timeseries', TimeSeries.Options, TimeSeries.FieldConfig>
  | PanelOf<'stat', Stat.Options, never>
  | PanelOf<'gauge', Gauge.Options, never>
  | PanelOf<'bargauge', BarGauge.Options, never>
  | PanelOf<'table', Table.Options, Table.FieldConfig>
  | PanelOf<'logs', Logs.Options, never>
  | PanelOf<'heatmap', Heatmap.Options, Heatmap.FieldConfig>;

// Prometheus' annotations read these beside what the published type has.
type Annotation = Omit<Plain<AnnotationQuery>, 'target'> & {
  tagKeys?: string;
  target?: { refId: string; expr: string; interval: string; range: boolean; instant: boolean };
  textFormat?: string;
  titleFormat?: string;
};

export type GeneratedDashboard = Omit<Plain<Dashboard>, 'panels' | 'annotations' | 'templating' | 'schemaVersion'> & {
  schemaVersion: 42;
  panels: AnyPanel[];
  annotations: { list: Annotation[] };
  templating: { list: Array<Plain<VariableModel>> };
};

interface TagMapping {
  key: string;
  value: string;
}

interface TraceLink {
  datasourceUid: string;
  spanEndTimeShift: string;
  spanStartTimeShift: string;
  tags: TagMapping[];
}

interface Settings extends DataSourceJsonData {
  derivedFields?: Array<{
    datasourceUid: string;
    matcherRegex: string;
    matcherType: 'label' | 'regex';
    name: string;
    url: string;
    urlDisplayLabel: string;
  }>;
  exemplarTraceIdDestinations?: Array<{ datasourceUid: string; name: string; urlDisplayLabel: string }>;
  handleGrafanaManagedAlerts?: boolean;
  httpMethod?: 'GET' | 'POST';
  implementation?: 'prometheus' | 'mimir' | 'cortex';
  maxLines?: number;
  nodeGraph?: { enabled: boolean };
  prometheusType?: 'Prometheus';
  search?: { hide: boolean };
  serviceMap?: { datasourceUid: string };
  timeInterval?: string;
  tracesToLogsV2?: TraceLink & { customQuery: boolean; filterBySpanID: boolean; filterByTraceID: boolean; query: string };
  tracesToMetrics?: TraceLink & { queries: Array<{ name: string; query: string }> };
}

export interface GeneratedDatasources {
  apiVersion: 1;
  prune: boolean;
  datasources: Array<{
    access: 'proxy';
    editable: boolean;
    isDefault: boolean;
    jsonData: Settings;
    name: string;
    orgId: number;
    type: 'prometheus' | 'loki' | 'tempo' | 'alertmanager';
    uid: string;
    url: string;
  }>;
}

export interface GeneratedProvider {
  apiVersion: 1;
  providers: Array<{
    allowUiUpdates: boolean;
    disableDeletion: boolean;
    folder: string;
    name: string;
    options: { foldersFromFilesStructure: boolean; path: string };
    orgId: number;
    type: 'file';
    updateIntervalSeconds: number;
  }>;
}
