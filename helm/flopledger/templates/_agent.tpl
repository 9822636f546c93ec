{{/* What the agent's features need: its user, its capabilities, its sources of attribution, its settings. */}}

{{/* Root only for what a value asks for. */}}
{{- define "flopledger.agent.uid" -}}
{{- $agent := .Values.agent -}}
{{- ternary "0" (include "flopledger.uid" .) (or $agent.attribution.podResources $agent.attribution.environment $agent.driver.privileged) -}}
{{- end }}

{{/* The sources in the order of trust of docs/attribution.md, as JSON. */}}
{{- define "flopledger.agent.attribution" -}}
{{- $from := .Values.agent.attribution -}}
{{- $sources := list -}}
{{- if $from.slurmPrologDirs }}{{ $sources = append $sources "slurm-prolog" }}{{ end -}}
{{- if $from.podResources }}{{ $sources = append $sources "pod-resources" }}{{ end -}}
{{- if $from.hostPID }}{{ $sources = append $sources "cgroup" }}{{ end -}}
{{- if $from.podLabels }}{{ $sources = append $sources "pod-labels" }}{{ end -}}
{{- if $from.environment }}{{ $sources = concat $sources (list "environment" "job-environment") }}{{ end -}}
{{- if $from.registration }}{{ $sources = append $sources "registration" }}{{ end -}}
{{- $sources | toJson -}}
{{- end }}

{{- define "flopledger.agent.settings" -}}
{{- $agent := .Values.agent -}}
{{- $settings := include "flopledger.settings.kafka" (list . .Values.kafka.agent) | fromJson -}}
{{- $own := dict
  "data_dir" "/var/lib/flopledger"
  "node_lock" "/var/lib/flopledger/node.lock"
  "cluster" .Values.cluster
  "backends" $agent.backends
  "attribution" (include "flopledger.agent.attribution" . | fromJsonArray)
  "processes_may_name_runs" $agent.attribution.processesMayNameRuns
  "outbox_max_bytes" $agent.state.outboxMaxBytes
  "otlp_port" $agent.otlp.port
  "metrics_port" $agent.metricsPort
  "sample_every_s" $agent.sampleEverySeconds
  "seal_every_s" $agent.sealEverySeconds
-}}
{{- if $agent.attribution.slurmPrologDirs }}{{ $_ := set $own "slurm_prolog_dirs" $agent.attribution.slurmPrologDirs }}{{ end -}}
{{- if $agent.dcgmUrl }}{{ $_ := set $own "dcgm_url" $agent.dcgmUrl }}{{ end -}}
{{- if ne $agent.otlp.exposure "none" }}{{ $_ := set $own "otlp_token_file" "/etc/flopledger/secrets/otlp/token" }}{{ end -}}
{{- merge $own $settings | toJson -}}
{{- end }}

{{- define "flopledger.agent.config" -}}
{{- merge (include "flopledger.agent.settings" . | fromJson) .Values.agent.settings | include "flopledger.toml" -}}
{{- end }}

{{/* What differs from node to node, and how NVIDIA's runtime is asked for the driver's libraries. */}}
{{- define "flopledger.agent.env" -}}
- name: FLOPLEDGER_CONFIG
  value: /etc/flopledger/config/flopledger.toml
- name: FLOPLEDGER_NODE
  valueFrom:
    fieldRef:
      fieldPath: spec.nodeName
- name: FLOPLEDGER_METRICS_HOST
  valueFrom:
    fieldRef:
      fieldPath: status.podIP
{{- if ne .Values.agent.otlp.exposure "none" }}
- name: FLOPLEDGER_OTLP_HOST
  valueFrom:
    fieldRef:
      fieldPath: status.podIP
{{- end }}
- name: NVIDIA_VISIBLE_DEVICES
  value: all
- name: NVIDIA_DRIVER_CAPABILITIES
  value: utility
- name: NVIDIA_MIG_MONITOR_DEVICES
  value: all
{{- if .Values.agent.driver.hostPath }}
- name: LD_LIBRARY_PATH
  value: /usr/local/nvidia/lib64
{{- end }}
{{- end }}

{{/* (list $ true): whether the folder of registrations is only read */}}
{{- define "flopledger.agent.mounts" -}}
{{- $readOnly := last . -}}
{{- with first . -}}
{{ include "flopledger.mounts" . }}
- name: state
  mountPath: /var/lib/flopledger
{{- if .Values.agent.attribution.hostPID }}
- name: pod-logs
  mountPath: /var/log/pods
  readOnly: true
{{- end }}
{{- if .Values.agent.attribution.podResources }}
- name: pod-resources
  mountPath: /var/lib/kubelet/pod-resources
  readOnly: true
{{- end }}
{{- if .Values.agent.attribution.registration }}
- name: runs
  mountPath: /run/flopledger/runs
  readOnly: {{ $readOnly }}
{{- end }}
{{- range $index, $directory := .Values.agent.attribution.slurmPrologDirs }}
- name: slurm-{{ $index }}
  mountPath: {{ $directory }}
  readOnly: true
{{- end }}
{{- if .Values.agent.driver.hostPath }}
- name: driver
  mountPath: /usr/local/nvidia
  readOnly: true
{{- end }}
{{- end }}
{{- end }}

{{- define "flopledger.agent.volumes" -}}
- name: state
  hostPath:
    path: {{ .Values.agent.state.hostPath }}
    type: DirectoryOrCreate
{{- if .Values.agent.attribution.hostPID }}
- name: pod-logs
  hostPath:
    path: /var/log/pods
    type: Directory
{{- end }}
{{- if .Values.agent.attribution.podResources }}
- name: pod-resources
  hostPath:
    path: /var/lib/kubelet/pod-resources
    type: Directory
{{- end }}
{{- if .Values.agent.attribution.registration }}
- name: runs
  hostPath:
    path: /run/flopledger/runs
    type: DirectoryOrCreate
{{- end }}
{{- range $index, $directory := .Values.agent.attribution.slurmPrologDirs }}
- name: slurm-{{ $index }}
  hostPath:
    path: {{ $directory }}
    type: DirectoryOrCreate
{{- end }}
{{- if .Values.agent.driver.hostPath }}
- name: driver
  hostPath:
    path: {{ .Values.agent.driver.hostPath }}
    type: Directory
{{- end }}
{{- end }}
