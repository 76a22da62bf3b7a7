# Made by specwatch from spec.yaml: edit that file and run `specwatch generate`, not this one.
# frozen_string_literal: true

require "fluent/event"
require "fluent/plugin/filter"
require_relative "specwatch_lines"

module Fluent
  module Plugin
    # Passes each record through the stages that are its <stage> sections, in their order.
    class SpecwatchFilter < Filter
      Fluent::Plugin.register_filter("specwatch", self)

      desc "What becomes of a line."
      config_section :stage, param_name: :stages, multi: true, required: true do
        config_param :kind, :string
        config_param :settings, :hash, default: {}
      end

      def configure(conf)
        super
        @pipeline = Specwatch::Pipeline.new(@stages.map { |stage| [stage.kind, stage.settings] })
      end

      def filter_with_time(_tag, time, record)
        seen = (time.to_i * Specwatch::Times::SECOND) + (time.respond_to?(:nsec) ? time.nsec : 0)
        now = Process.clock_gettime(Process::CLOCK_REALTIME, :nanosecond)
        event = @pipeline.pass(Specwatch::Event.new(seen, record), now)
        event && [Fluent::EventTime.new(*event.time.divmod(Specwatch::Times::SECOND)), event.record]
      end
    end
  end
end
