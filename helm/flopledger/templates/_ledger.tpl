{{/* Settings of the parts that reach the ledger's server: collectors, page, jobs. */}}

{{- define "flopledger.collector.settings" -}}
{{- $collector := .Values.collector -}}
{{- $settings := dict
  "data_dir" "/var/lib/flopledger"
  "cluster" .Values.cluster
  "kafka_group" .Values.kafka.group
  "ledger_key_file" "/etc/flopledger/secrets/ledger/ledger.key"
  "enrolment" $collector.enrolment
  "quarantine_max_share" $collector.quarantineMaxShare
  "quarantine_max_consecutive" $collector.quarantineMaxConsecutive
  "collector_port" $collector.port
  "assess_every_s" $collector.assessEverySeconds
-}}
{{- if .Values.alerts.channels }}{{ $_ := set $settings "channels" "/etc/flopledger/config/channels.yaml" }}{{ end -}}
{{- if .Values.alerts.runbookUrl }}{{ $_ := set $settings "runbook_url" .Values.alerts.runbookUrl }}{{ end -}}
{{- if $collector.agentKeys }}{{ $_ := set $settings "agent_keys_file" "/etc/flopledger/config/agent-keys" }}{{ end -}}
{{- merge $settings
  (include "flopledger.settings.kafka" (list . .Values.kafka.collector) | fromJson)
  (include "flopledger.settings.clickhouse" (list . .Values.clickhouse.collector) | fromJson)
  | toJson -}}
{{- end }}

{{- define "flopledger.collector.config" -}}
{{- merge (include "flopledger.collector.settings" . | fromJson) .Values.collector.settings | include "flopledger.toml" -}}
{{- end }}

{{- define "flopledger.collector.secrets" -}}
{{- include "flopledger.secrets.kafka" (list . .Values.kafka.collector) }}
{{- include "flopledger.secrets.clickhouse" (list . .Values.clickhouse.collector) }}
{{- include "flopledger.secret" (list .Values.ledger.keySecret "ledger/ledger.key") }}
{{- end }}

{{/* The migration job: the collector's settings under the installer's name, so that its check is the collector's own. */}}
{{- define "flopledger.migrate.config" -}}
{{- $settings := include "flopledger.collector.settings" . | fromJson -}}
{{- $installer := include "flopledger.settings.clickhouse" (list . .Values.clickhouse.installer) | fromJson -}}
{{- merge $installer (omit $settings "clickhouse_user" "clickhouse_password_file" "agent_keys_file" "channels") | include "flopledger.toml" -}}
{{- end }}

{{- define "flopledger.migrate.secrets" -}}
{{- include "flopledger.secrets.kafka" (list . .Values.kafka.collector) }}
{{- include "flopledger.secrets.clickhouse" (list . .Values.clickhouse.installer) }}
{{- include "flopledger.secret" (list .Values.ledger.keySecret "ledger/ledger.key") }}
{{- end }}

{{/* (list $ .Values.clickhouse.auditor) → settings of a job that asks the server and nobody else */}}
{{- define "flopledger.job.config" -}}
{{- $root := first . -}}
{{- merge (dict "data_dir" "/tmp/flopledger" "cluster" $root.Values.cluster)
  (include "flopledger.settings.clickhouse" . | fromJson) | include "flopledger.toml" -}}
{{- end }}

{{- define "flopledger.ledger.scheduling" -}}
{{- with .Values.ledger.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.ledger.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* What the containers of the jobs share; their arguments are their own. */}}
{{- define "flopledger.ledger.container" -}}
{{ include "flopledger.container" (list . .Values.collector.image) }}
{{ include "flopledger.container.security" . }}
env:
  - name: FLOPLEDGER_CONFIG
    value: /etc/flopledger/config/flopledger.toml
resources:
  {{- toYaml .Values.ledger.resources | nindent 2 }}
volumeMounts:
  {{- include "flopledger.mounts" . | nindent 2 }}
{{- end }}
